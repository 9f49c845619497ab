"""The tokens of a request's images."""

from collections.abc import Iterator

from pipelines.images.headers import size_of
from pipelines.images.rules import rule_for
from synthralos.domain.jobs import Request


def image_tokens(request: Request, model: str | None = None) -> int:
    """What `model` counts for the request's images, at most; where none is given, the one that the request names."""
    if all(type(message.get("content")) is str for message in request.messages):
        return 0
    images = list(_images(request))
    if not images:
        return 0
    rule = rule_for(model or request.model)
    return sum(rule.tokens(size_of(url), detail) for url, detail in images)


def _images(request: Request) -> Iterator[tuple[str, str]]:
    """Address and detail of each. What is no image of ours counts for nothing: the request was checked before."""
    for message in request.messages:
        content = message.get("content")
        if type(content) is list:
            for part in content:
                if part.get("type") == "image_url":
                    image = part["image_url"]
                    yield image["url"], image.get("detail") or "auto"
