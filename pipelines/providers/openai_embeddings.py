"""OpenAI's embeddings, as it and compatible servers speak them: one request, and what is answered.

Source: OpenAI API reference, "Create embeddings".
"""

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from pipelines.providers.answers import failure_in, misfit, name_in, not_an_answer, read_object, request_id
from pipelines.providers.embedding_options import embedding_options
from pipelines.providers.openai_usage import read_usage
from pipelines.providers.vectors import Misfit, vectors_of
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Request
from synthralos.domain.money import Usage

OPTIONS = frozenset({"user"})
"""Provider options that go along; others are for chats."""


def encode(request: Request, deployment: Deployment, widened: Collection[str] = (), *, compact: bool = False) -> bytes:
    """The JSON body of the call; raises `NotTaken` for an option that is not `widened` and for chats alone.

    `compact`: the server gives Base64, which is a quarter as long, whatever the job wants.
    """
    body = request.body
    form = "base64" if compact else body.get("encoding_format", "float")
    wire = {"model": deployment.upstream_model, "input": body["input"], "encoding_format": form}
    if body.get("dimensions") is not None:
        wire["dimensions"] = body["dimensions"]
    return orjson.dumps({**wire, **embedding_options(request, deployment, OPTIONS, widened)})


def decode(body: bytes, headers: Mapping[str, str], request: Request) -> Reply | Failure:
    """The vectors in the body of an answer of status 200, in the order of the inputs.

    `headers` are those of the answer, in lower case. What was paid for and is not what was asked for is a
    `schema_mismatch`; what holds no vectors at all is ambiguous.
    """
    document = read_object(body, headers, read_embedding_usage)
    if isinstance(document, Failure):
        return document
    usage = read_embedding_usage(document.get("usage"))
    data = document.get("data")
    if document.get("error") and not data:
        return failure_in(document, headers, usage)
    if not isinstance(data, list):
        return not_an_answer(document, headers, usage, "the answer has no data")
    try:
        vectors = vectors_of(_in_order(data), request)
    except Misfit as problem:
        return misfit(str(problem), usage)
    return Reply(
        text=None,
        usage=usage,
        model=name_in(document.get("model")),
        provider_request_id=request_id(headers, document.get("id")),
        embeddings=vectors,
    )


def read_embedding_usage(usage: object) -> Usage | None:
    """The tokens that were billed, all of them the prompt's; None where they are missing or cannot be true."""
    if not isinstance(usage, dict):
        return None
    found = read_usage({**usage, "completion_tokens": usage.get("completion_tokens") or 0})
    return found if found is not None and not found.output else None


def _in_order(data: list[Any]) -> list[object]:
    """The vectors by their `index`; in the order in which they came where none of them has one."""
    entries = [entry for entry in data if isinstance(entry, dict)]
    if len(entries) != len(data):
        raise Misfit("the answer holds what is no vector")
    numbers = [entry.get("index") for entry in entries]
    if all(number is None for number in numbers):
        return [entry.get("embedding") for entry in entries]
    placed = dict(zip(numbers, entries, strict=True)) if all(type(number) is int for number in numbers) else {}
    if placed.keys() != set(range(len(entries))):
        raise Misfit("the vectors are not numbered one by one")
    return [placed[number].get("embedding") for number in range(len(entries))]
