"""The page of the HTTP API, from the OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from scripts.reference.markdown import page, table
from scripts.reference.schemas import described, kind, members

_ABOUT = (
    "Every answer is JSON; every error is a problem document (RFC 9457) with `errors`, each naming the `field`, the "
    "`problem` and the `remedy`. All of `/api/` needs `Authorization: Bearer sk-syn-…`. The same as a document for "
    "programs: `contracts/openapi.json`, and `/docs` of every API process."
)

_EVERYWHERE = {
    "401": "no valid API key",
    "403": "the key may not do this",
    "429": "too many requests at once; `Retry-After` says when to try again",
    "500": "a bug; the log of the API says which",
    "503": "the database cannot be reached, or too many bodies are under way, and nothing is promised;"
    " `Retry-After` says when to try again",
}
"""Answers that every operation may give: they are told once."""


def api_page(document: dict[str, Any]) -> str:
    """All operations by path, then the models that they take and answer with."""
    everywhere = table(["status", "everywhere"], [[f"`{status}`", when] for status, when in _EVERYWHERE.items()])
    return page(
        "HTTP API", _ABOUT, everywhere, *_operations(document["paths"]), "## Models", *_models(document["components"])
    )


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, operations in sorted(paths.items()):
        for method, operation in operations.items():
            yield f"## {method.upper()} {path}"
            yield operation.get("description", "")
            yield _parameters(operation.get("parameters", ()))
            yield _taken(operation.get("requestBody"))
            yield _answers(operation["responses"])


def _parameters(parameters: Any) -> str:
    rows = [
        [f"`{each['name']}`", each["in"], kind(each["schema"]), each.get("description") or described(each["schema"])]
        for each in parameters
    ]
    return table(["parameter", "in", "is", "about"], rows) if rows else ""


def _taken(body: dict[str, Any] | None) -> str:
    if body is None:
        return ""
    needed = "Takes" if body.get("required") else "May take"
    return f"{needed}: {', '.join(kind(each['schema']) for each in body['content'].values())}"


def _answers(responses: dict[str, Any]) -> str:
    rows = []
    for status, answer in sorted(responses.items()):
        if status in _EVERYWHERE:
            continue
        models = [kind(each["schema"]) for each in answer.get("content", {}).values() if "schema" in each]
        rows.append([f"`{status}`", answer.get("description", ""), ", ".join(models)])
    return table(["status", "when", "body"], rows)


def _models(components: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(components["schemas"].items()):
        yield f"### {name}"
        yield schema.get("description", "")
        if "enum" in schema:
            yield " ".join(f"`{value}`" for value in schema["enum"])
        yield members(schema)
