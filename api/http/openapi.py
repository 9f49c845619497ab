"""What a route is declared with, so that the OpenAPI document is complete: answers, refusals, bodies."""

from types import UnionType
from typing import Any

from pydantic import BaseModel

from api.http.problems import MEDIA_TYPE

REF = "#/components/schemas/{model}"
"""Where a model is in the document."""

_DESCRIPTIONS = {
    400: "The body is not JSON",
    401: "No valid API key",
    403: "The key may not do this",
    404: "There is no such thing, or none that the key may see",
    409: "The job's state does not allow it",
    408: "The body took too long",
    410: "What follows that cursor may be gone",
    412: "It was changed meanwhile: read it again",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "Something in the request is not valid; each field is named",
    429: "Too many requests at once",
    500: "A bug",
    503: "The database cannot be reached, or too many bodies are under way; nothing is promised",
}
_NAME = {"type": "string", "description": "the event's type"}
_ENTRY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"enum": ["state", "span", "attempt", "event", "delta", "restarted", "done"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["id", "event", "data"],
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}},
    429: {"Retry-After": {"schema": {"type": "string"}, "required": True, "description": "in seconds"}},
    503: {"Retry-After": {"schema": {"type": "string"}, "required": True, "description": "in seconds"}},
}


def problem(status: int) -> dict[str, Any]:
    """The description of a problem document of that status."""
    described: dict[str, Any] = {
        "description": _DESCRIPTIONS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": REF.format(model="ProblemDocument")}}},
    }
    return {**described, "headers": _HEADERS[status]} if status in _HEADERS else described


def documented(
    model: type[BaseModel] | UnionType,
    description: str,
    *,
    found: bool = False,
    validated: bool = False,
    conflicting: bool = False,
    versioned: bool = False,
    body: bool = False,
    status: int = 200,
    csv: bool = False,
    gone: bool = False,
) -> dict[str, Any]:
    """What a route that answers with `model` is declared with."""
    statuses = [401, 403, 429, 500, 503]
    statuses += (
        [404] * found + [422] * validated + [409] * conflicting + [412] * versioned + [400, 408, 413, 415] * body
    )
    statuses += [410] * gone
    responses: dict[int | str, Any] = {status: {"model": model, "description": description}}
    if csv:
        responses[status]["content"] = {"text/csv": {"schema": {"type": "string"}}}
    responses |= {code: problem(code) for code in sorted(statuses)}
    return {"responses": responses, "response_model": None, "status_code": status}


_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "the `id` of the last entry that was read: the stream goes on after it",
    "schema": {"type": "string"},
}


def event_stream(*kinds: str, validated: bool = False, gone: bool = False) -> dict[str, Any]:
    """What a route of server-sent events is declared with. `kinds`: its entries' names, where it is not a job's."""
    responses: dict[int | str, Any] = {
        200: {"description": "The stream, entry by entry", "content": {"text/event-stream": {"schema": _entry(kinds)}}}
    }
    statuses = [401, 403, 404, 429, 500, 503] if not kinds else [401, 403, 429, 500, 503]
    responses |= {status: problem(status) for status in statuses + [422] * validated + [410] * gone}
    return {"responses": responses, "response_model": None, "openapi_extra": {"parameters": [_LAST_EVENT_ID]}}


def streamed_too() -> dict[str, Any]:
    """What a route of pages is declared with that answers with server-sent events where they are asked for."""
    content = {"text/event-stream": {"schema": {**_ENTRY, "properties": {**_ENTRY["properties"], "event": _NAME}}}}
    return {"parameters": [_LAST_EVENT_ID], "responses": {"200": {"content": content}}}


def _entry(kinds: tuple[str, ...]) -> dict[str, Any]:
    return {**_ENTRY, "properties": {**_ENTRY["properties"], "event": {"enum": list(kinds)}}} if kinds else _ENTRY


def line_stream(*models: str) -> dict[str, Any]:
    """What the route is declared with that answers line by line, each line being one of these models."""
    line = {"oneOf": [{"$ref": REF.format(model=name)} for name in models]}
    content = {"application/x-ndjson": {"schema": {"type": "string"}, "itemSchema": line}}
    responses: dict[int | str, Any] = {200: {"description": "One JSON object a line", "content": content}}
    responses |= {status: problem(status) for status in (400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503)}
    return {"responses": responses, "response_model": None}


def takes(model: type[BaseModel], *, required: bool, keyed: bool = False) -> dict[str, Any]:
    """The description of a JSON body. `keyed`: an Idempotency-Key is heeded."""
    schema = {"$ref": REF.format(model=model.__name__)}
    body = {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}
    return {**body, "parameters": [idempotency_key()]} if keyed else body


def takes_lines(model: str) -> dict[str, Any]:
    """The description of a body of one JSON object a line, each being that model."""
    line = {"schema": {"type": "string"}, "itemSchema": {"$ref": REF.format(model=model)}}
    return {"requestBody": {"required": True, "content": {"application/x-ndjson": line}}}


def idempotency_key() -> dict[str, Any]:
    """The description of the header."""
    said = "the same key with the same body makes nothing more, and gets the same answer"
    return header("Idempotency-Key", said, r"^[\x20-\x7e]{1,255}$")


def header(name: str, description: str, pattern: str | None = None) -> dict[str, Any]:
    """The description of a header of requests."""
    schema = {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "description": description, "schema": schema}
