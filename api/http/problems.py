"""Problem documents (RFC 9457): the one form in which the API says no.

A document never echoes what was sent beyond the path of the field, and never shows what went wrong inside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.responses import Response

from pipelines.intake.errors import MOST_ERRORS, FieldError, ForeignTenant, InvalidJob
from synthralos.store.sql import outage
from synthralos.store.sql.errors import StoreError, is_transient, lacks_schema
from synthralos.telemetry.outages import DATABASE, Outages

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "1"}
"""Seconds to wait before asking again when the database is away."""


@dataclass(slots=True)
class Problem(Exception):
    """An answer that says no. `slug` names the kind of problem; `detail` is about this one."""

    status: int
    slug: str
    title: str
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The document."""
        return {
            "type": f"urn:synthralos:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "errors": [{"field": e.field, "problem": e.problem, "remedy": e.remedy} for e in self.errors[:MOST_ERRORS]],
        }

    def response(self) -> Response:
        """The document as an HTTP response."""
        return Response(orjson.dumps(self.to_json()), self.status, dict(self.headers), MEDIA_TYPE)


def invalid(errors: Sequence[FieldError]) -> Problem:
    """422: the request was understood and cannot be accepted; each error names its field and the remedy."""
    fields = ", ".join(error.field for error in errors[:3]) + (" and more" if len(errors) > 3 else "")
    return Problem(422, "invalid-request", "The request is not valid", f"Nothing was changed: see {fields}.", errors)


def invalid_field(field: str, problem: str, remedy: str) -> Problem:
    """422 about a single field."""
    return invalid([FieldError(field, problem, remedy)])


def of_document(error: InvalidJob) -> Problem:
    """422, or 403 where the document names a tenant that the key is not for."""
    if isinstance(error, ForeignTenant):
        fields = ", ".join(e.field for e in error.errors)
        return forbidden(f"The key is bound to one tenant, and {fields} names another.", error.errors)
    return invalid(error.errors)


def not_json(detail: str) -> Problem:
    """400: the body is not JSON."""
    return Problem(400, "not-json", "The body is not JSON", detail)


def too_large(limit: int) -> Problem:
    """413: the body exceeds `limit` bytes."""
    detail = f"A request body may have {limit} bytes at most: send fewer or shorter jobs at once."
    # The rest of the body stays unread, so the connection is of no use for another request.
    return Problem(413, "body-too-large", "The body is too large", detail, headers={"Connection": "close"})


def unauthorized(detail: str) -> Problem:
    """401: no valid key came along."""
    return Problem(
        401,
        "unauthorized",
        "A valid API key is needed",
        detail,
        headers={"WWW-Authenticate": 'Bearer realm="synthralos"'},
    )


def forbidden(detail: str, errors: Sequence[FieldError] = ()) -> Problem:
    """403: the key is valid and may not do this."""
    return Problem(403, "forbidden", "The key may not do this", detail, errors)


def too_many(detail: str) -> Problem:
    """429: more than this process takes at once."""
    return Problem(429, "too-many-requests", "Too many requests", detail, headers=RETRY_AFTER)


def not_found(detail: str) -> Problem:
    """404: there is no such thing, or none that the key may see."""
    return Problem(404, "not-found", "Not found", detail)


def conflict(detail: str) -> Problem:
    """409: the state does not allow it."""
    return Problem(409, "state-conflict", "The job's state does not allow it", detail)


def warned(detail: str, warnings: Sequence[FieldError]) -> Problem:
    """409: it would be accepted, and seems not to be what is meant."""
    return Problem(409, "severe-warnings", "There are severe warnings", detail, warnings)


def outdated(detail: str) -> Problem:
    """412: somebody has changed it meanwhile."""
    return Problem(412, "outdated", "It was changed meanwhile", detail)


def unavailable(detail: str = "The database cannot be reached: try again.") -> Problem:
    """503: the database is away. Nothing was promised."""
    return Problem(503, "unavailable", "Temporarily unavailable", detail, headers=RETRY_AFTER)


def busy_with_bodies() -> Problem:
    """503: the process holds as many bytes of bodies as it may."""
    detail = "Too many bytes of other requests are under way, and this one was refused. Send it again."
    headers = {**RETRY_AFTER, "Connection": "close"}
    return Problem(503, "unavailable", "Temporarily unavailable", detail, headers=headers)


def refusal(error: Problem | StoreError, outages: Outages) -> Response:
    """The answer to a request that ended so; raises the store's error where it is a bug. `outages` hear of it."""
    if isinstance(error, Problem):
        return error.response()
    if lacks_schema(error):
        outages.failed(DATABASE, "its schema is missing or too old", "run `synthralos migrate`")
        return unavailable("The database does not have our schema: run `synthralos migrate`.").response()
    if not is_transient(error):
        raise error
    outage.tell(outages, error)
    return unavailable().response()


def internal() -> Problem:
    """500: a bug. What it was is in the log."""
    return Problem(500, "internal", "Internal error", "Something went wrong here; the log of the API says what.")


def http_error(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """What the web framework refuses by itself: unknown paths, wrong methods."""
    if status == 404:
        return not_found("There is nothing at this path: see /docs.")
    if status == 405:
        detail = "This path does not know the method: see the Allow header."
        return Problem(405, "method-not-allowed", "Method not allowed", detail, headers=headers or {})
    return Problem(status, "http", "The request cannot be served", f"HTTP status {status}.", headers=headers or {})
