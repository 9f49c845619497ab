"""The OpenAPI document: complete and true, although bodies are read and answers are written past the framework."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.key_views import KeyIn, OrganizationIn, RotateIn
from api.problems import MEDIA_TYPE
from api.submit import JOBS_PATH
from api.views import ProblemDocument, Receipt, Receipts
from pipelines.intake.schema import MOST_JOBS, JobIn, ReasonIn, RerouteIn

_REF = "#/components/schemas/{model}"
_TAKEN = (JobIn, ReasonIn, RerouteIn, KeyIn, RotateIn, OrganizationIn)
_ANSWERED = (ProblemDocument, Receipt, Receipts)

_SUBMISSION = (
    "Accept one job (an object) or up to 1,000 (an array): all of them or none. Answers when they are durable; "
    "what becomes of them is at `url`."
)
_DESCRIPTIONS = {
    400: "The body is not JSON",
    401: "No valid API key",
    403: "The key may not do this",
    404: "There is no such thing, or none that the key may see",
    409: "The job's state does not allow it",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "Something in the request is not valid; each field is named",
    429: "Too many requests at once",
    500: "A bug",
    503: "The database cannot be reached; nothing is promised",
}
_ENTRY = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"enum": ["state", "span", "attempt", "event", "done"]},
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
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="ProblemDocument")}}},
    }
    return {**described, "headers": _HEADERS[status]} if status in _HEADERS else described


def documented(
    model: type[BaseModel],
    description: str,
    *,
    found: bool = False,
    validated: bool = False,
    conflicting: bool = False,
    body: bool = False,
    status: int = 200,
) -> dict[str, Any]:
    """What a route that answers with `model` is declared with."""
    statuses = [401, 403, 429, 500, 503]
    statuses += [404] * found + [422] * validated + [409] * conflicting + [400, 413, 415] * body
    responses: dict[int | str, Any] = {status: {"model": model, "description": description}}
    return {"responses": responses | {code: problem(code) for code in sorted(statuses)}, "response_model": None}


def event_stream() -> dict[str, Any]:
    """What the route of the server-sent events is declared with."""
    responses: dict[int | str, Any] = {
        200: {"description": "The stream, entry by entry", "content": {"text/event-stream": {"schema": _ENTRY}}}
    }
    last = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "the `id` of the last entry that was read: the stream goes on after it",
        "schema": {"type": "string"},
    }
    responses |= {status: problem(status) for status in (401, 403, 404, 429, 500, 503)}
    return {"responses": responses, "response_model": None, "openapi_extra": {"parameters": [last]}}


def takes(model: type[BaseModel], *, required: bool) -> dict[str, Any]:
    """The description of a JSON body."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def describe(app: FastAPI, version: str) -> dict[str, Any]:
    """The whole document."""
    document = get_openapi(
        title="SynthralOS", version=version, description="LLM work as durable jobs.", routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for models, mode in ((_TAKEN, "validation"), (_ANSWERED, "serialization")):
        _, definitions = models_json_schema([(model, mode) for model in models], ref_template=_REF)  # type: ignore[misc]
        schemas.update(definitions["$defs"])
    _drop_the_frameworks_own(document["paths"], schemas)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "sk-syn-…"}}
    document["paths"].setdefault(JOBS_PATH, {})["post"] = _submission()
    for path, operations in document["paths"].items():
        if path.startswith("/api/"):
            for operation in operations.values():
                operation["security"] = [{"key": []}]
    return document


def _drop_the_frameworks_own(paths: dict[str, Any], schemas: dict[str, Any]) -> None:
    """FastAPI adds an answer of its own form to every route with parameters; none of ours ever gives it."""
    for operations in paths.values():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for model in ("HTTPValidationError", "ValidationError"):
        schemas.pop(model, None)


def _submission() -> dict[str, Any]:
    one = {"$ref": _REF.format(model="JobIn")}
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_JOBS}
    receipts = [{"$ref": _REF.format(model=name)} for name in ("Receipt", "Receipts")]
    accepted = {
        "description": "Accepted: the jobs are durable. One receipt for an object, an array of them for an array",
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "of the job, where it was one"},
            "Idempotent-Replayed": {"schema": {"type": "string"}, "description": "`true`: an earlier call's answer"},
        },
        "content": {"application/json": {"schema": {"anyOf": receipts}}},
    }
    return {
        "tags": ["jobs"],
        "summary": "Submit Jobs",
        "description": _SUBMISSION,
        "operationId": "submit_jobs",
        "parameters": [
            _header("Idempotency-Key", "the same key with the same body gets the same answer", r"^[\x20-\x7e]{1,255}$"),
            _header("traceparent", "W3C trace context: the jobs join that trace; an invalid one is ignored", None),
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"anyOf": [one, many]}}}},
        "responses": {
            "202": accepted,
            **{str(status): problem(status) for status in (400, 401, 403, 413, 415, 422, 429, 500, 503)},
        },
    }


def _header(name: str, description: str, pattern: str | None) -> dict[str, Any]:
    schema = {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "description": description, "schema": schema}
