"""A JSON document of an operation as a model: with every wrong field named."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from api.call import Call
from api.http.bodies import parse_json, read_body, require_json
from api.http.problems import invalid
from api.room import Room
from pipelines.intake.errors import FieldError
from pipelines.intake.unknown_fields import remedies_in
from pipelines.intake.validation import field_errors

Body = TypeVar("Body", bound=BaseModel)


async def read_json(request: Request, room: Room, *, optional: bool = False) -> Any:
    """The body as plain values; raises 400, 408, 413, 415, 422 or 503. `optional`: None where there is no body."""
    call = Call.of(request)
    with room.bodies.place() as place:
        raw = await read_body(call, room.core.settings.max_body_bytes, room.bodies, place)
        if optional and not raw.strip():
            return None
        require_json(call)
        return parse_json(raw, room.core.settings.max_depth, "")


async def read_document(request: Request, room: Room, model: type[Body], *, optional: bool = False) -> Body:
    """The body as `model`; raises 400, 408, 413, 415, 422 or 503.

    `optional`: without a body, everything has its default.
    """
    data = await read_json(request, room, optional=optional)
    if optional and data is None:
        return model()
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = field_errors(error.errors(include_url=False, include_input=False), data, "", remedies_in(model))
        raise invalid([FieldError(e.field or "body", e.problem, e.remedy) for e in found]) from None
