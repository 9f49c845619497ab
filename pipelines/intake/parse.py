"""From the body of a submission to the jobs that the store takes: pure, so that large bodies can go through a thread.

The models of `schema` say yes or no; what is stored is the body as it was sent, since validation converts nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from pipelines.intake.catalog_checks import CatalogChecks
from pipelines.intake.chat import PART_TYPES, ImagePart, Message, OtherPart, SchemaFormat, TextPart
from pipelines.intake.classification import classify
from pipelines.intake.embedding import EmbeddingIn, check_embedding, embedding_body, is_embedding
from pipelines.intake.errors import MOST_ERRORS, FieldError, ForeignTenant, InvalidJob, invalid_field, join
from pipelines.intake.image_addresses import problem_with
from pipelines.intake.schema import MOST_JOBS, MOST_SECONDS, AnyJobIn, ConstraintsIn, JobIn, WaitForIn
from pipelines.intake.unknown_fields import remedy_for, remedy_in_embedding
from pipelines.intake.validation import field_errors
from pipelines.output_schema import SchemaProblem, check_schema
from synthralos.domain.ids import new_id, trace_id_of
from synthralos.domain.jobs import DEFAULT_WORKSPACE, SAME, UNCONSTRAINED, Constraints, NewJob, Request, Tenant
from synthralos.domain.limits import MOST_CHARACTERS
from synthralos.domain.residency import Unclassified
from synthralos.domain.scope import Scope
from synthralos.domain.states import Lane
from synthralos.domain.waits import WaitFor

DEFAULT_ORGANIZATION = "default"

_PARAMETERS = (
    "max_output_tokens", "temperature", "top_p", "stop", "seed", "tools", "tool_choice", "response_format",
)  # fmt: skip
_validate_chat = JobIn.__pydantic_validator__.validate_python
_validate_embedding = EmbeddingIn.__pydantic_validator__.validate_python

Understood = JobIn | EmbeddingIn


@dataclass(frozen=True, slots=True)
class Parsed:
    """The jobs of a body: as they were sent, and as they were understood."""

    sent: list[dict[str, Any]]
    understood: list[Understood]
    many: bool
    unclassified: Unclassified = "none"

    def organizations(self, scope: Scope) -> set[str]:
        """The organizations that the jobs belong to."""
        return {scope.organization or job.organization or DEFAULT_ORGANIZATION for job in self.understood}


def parse(document: Any, checks: CatalogChecks, now: datetime) -> Parsed:
    """The jobs in the body of a submission; raises `InvalidJob`, which names every field that is wrong."""
    many = isinstance(document, list)
    sent = document if many else [document]
    if not 1 <= len(sent) <= MOST_JOBS:
        raise invalid_field("jobs", f"must have 1 to {MOST_JOBS} jobs", "split it into several requests")
    understood: list[Understood] = []
    errors: list[FieldError] = []
    for number, data in enumerate(sent):
        root = f"jobs[{number}]" if many else ""
        try:
            job = _validate(data)
        except ValidationError as error:
            errors += [_rooted(e) for e in _errors(error, data, root)]
        else:
            understood.append(job)
            errors += _check(job, checks, now, f"{root}." if many else "")
        if len(errors) >= MOST_ERRORS:
            break
    if errors:
        raise InvalidJob(errors)
    return Parsed(sent, understood, many, checks.unclassified)


def build(
    parsed: Parsed, scope: Scope, plans: Mapping[str, str], trace: tuple[str, str] | None, now: datetime
) -> list[NewJob]:
    """The jobs for the store; raises `ForeignTenant` where one is for another than `scope`."""
    lane = Lane.BULK if parsed.many else Lane.INTERACTIVE
    tenants: dict[tuple[str | None, str | None, str | None], Tenant] = {}
    jobs = []
    for number, (data, job) in enumerate(zip(parsed.sent, parsed.understood, strict=True)):
        named = (job.organization, job.workspace, job.user)
        tenant = tenants.get(named)
        if tenant is None:
            tenant = tenants[named] = _tenant(job, scope, plans, f"jobs[{number}]." if parsed.many else "")
        made = _new_job(data, job, tenant, lane, trace, now)
        classify(made, parsed.unclassified)
        made.user_bound = scope.user is not None
        jobs.append(made)
    return jobs


def build_again(data: dict[str, Any], tenant: Tenant, now: datetime, unclassified: Unclassified) -> NewJob:
    """A new job of a document that was accepted before, as a template; raises `InvalidJob` where it is none any more.

    Names of the catalog are not looked at: what became of them is routing's to say. `unclassified` is what it is taken
    for where it says no classification.
    """
    try:
        job = _validate(data)
    except ValidationError as error:
        raise InvalidJob(_errors(error, data, "")) from None
    made = _new_job(data, job, tenant, Lane.BULK, None, now)
    classify(made, unclassified)
    return made


def _validate(data: Any) -> Understood:
    """The job as its kind's model understands it; raises `ValidationError`."""
    understood: Understood = _validate_embedding(data) if is_embedding(data) else _validate_chat(data)
    return understood


def _errors(error: ValidationError, data: Any, root: str) -> list[FieldError]:
    details = error.errors(include_url=False, include_input=False)
    return field_errors(details, data, root, remedy_in_embedding if is_embedding(data) else remedy_for)


def _rooted(error: FieldError) -> FieldError:
    return error if error.field else FieldError("body", error.problem, error.remedy)


def _check(job: Understood, checks: CatalogChecks, now: datetime, path: str) -> Iterator[FieldError]:
    yield from check_embedding(job, path) if isinstance(job, EmbeddingIn) else _check_chat(job, path)
    if job.deadline is not None:
        if job.deadline_seconds is not None:
            yield FieldError(f"{path}deadline_seconds", "is given beside deadline", "send one of the two")
        if job.deadline <= now:
            yield FieldError(f"{path}deadline", "is in the past", "send a time that is still to come, or none")
        elif (job.deadline - now).total_seconds() > MOST_SECONDS:
            yield FieldError(f"{path}deadline", "is more than ten years ahead", "send an earlier one, or none")
    if job.metadata:
        yield from (
            FieldError(f"{path}metadata.{name}", "is beyond 64 bits", "send a smaller number, or a string")
            for name, value in job.metadata.items()
            if type(value) is int and not -(2**63) <= value < 2**63
        )
    if job.constraints is not None:
        yield from _check_repair(job.constraints, f"{path}constraints.repair_model")
    yield from checks.check_job(job, path)


def _check_repair(wanted: ConstraintsIn, path: str) -> Iterator[FieldError]:
    if wanted.repair_model in (None, SAME):
        return
    if wanted.pin is not None or not wanted.fallback:
        problem = "is given beside pin or fallback: false, which keep the job at one deployment"
        yield FieldError(path, problem, "leave one of them out, or send same")
    if wanted.repair in ("none", "again"):
        yield FieldError(path, f"is given beside repair: {wanted.repair}, which tells nobody", "leave one of them out")


def _check_chat(job: JobIn, path: str) -> Iterator[FieldError]:
    if (job.prompt is None) == (job.messages is None):
        problem = "is missing" if job.prompt is None else "is given beside messages"
        yield FieldError(f"{path}prompt", problem, "send either prompt or messages")
    yield from _check_texts(job, path)
    if isinstance(job.response_format, SchemaFormat) and job.response_format.json_schema.schema_ is not None:
        yield from _check_schema(job.response_format.json_schema.schema_, f"{path}response_format.json_schema.schema")


def _check_schema(schema: dict[str, Any], path: str) -> Iterator[FieldError]:
    try:
        check_schema(schema)
    except SchemaProblem as found:
        for part in found.path:
            path = join(path, part)
        yield FieldError(path, found.problem, found.remedy)


def _check_texts(job: JobIn, path: str) -> Iterator[FieldError]:
    if job.prompt is not None and job.prompt.isspace():
        yield FieldError(f"{path}prompt", "is blank", "send some text")
    size = len(job.prompt or "")
    empty = True
    for number, message in enumerate(job.messages or ()):
        content = message.content
        yield from _check_message(message, f"{path}messages[{number}]")
        if content is None and not message.tool_calls and message.role != "assistant":
            yield FieldError(f"{path}messages[{number}].content", "is missing", "add it, or tool_calls")
        if isinstance(content, str):
            size += len(content)
            empty = empty and (not content or content.isspace())
        elif content is not None or message.tool_calls:
            empty = False
            size += sum(len(part.text) for part in content or () if isinstance(part, TextPart))
    if job.messages is not None and empty:
        yield FieldError(f"{path}messages", "has no text at all", "send at least one message with content")
    if size > MOST_CHARACTERS:
        field = "messages" if job.prompt is None else "prompt"
        yield FieldError(f"{path}{field}", f"has more than {MOST_CHARACTERS} characters", "shorten it")


def _check_message(message: Message, path: str) -> Iterator[FieldError]:
    if message.model_extra and message.role != "assistant":
        for name in message.model_extra:
            yield FieldError(join(path, name), "is not a known field", "remove it, or check its spelling")
    if not isinstance(message.content, list):
        return
    for number, part in enumerate(message.content):
        if isinstance(part, OtherPart) and message.role != "assistant":
            known = f"must have a type that is one of: {', '.join(PART_TYPES)}"
            yield FieldError(f"{path}.content[{number}]", known, "send one of these")
        if isinstance(part, ImagePart) and (problem := problem_with(part.image_url.url)) is not None:
            yield FieldError(f"{path}.content[{number}].image_url.url", problem, "send another address, or the image")


def _tenant(job: AnyJobIn, scope: Scope, plans: Mapping[str, str], path: str) -> Tenant:
    organization = _bound("organization", job.organization, scope.organization, path) or DEFAULT_ORGANIZATION
    workspace = _bound("workspace", job.workspace, scope.workspace, path) or DEFAULT_WORKSPACE
    user = _bound("user", job.user, scope.user, path)
    return Tenant(organization, workspace, user, plans[organization])


def _bound(name: str, wanted: str | None, bound: str | None, path: str) -> str | None:
    if bound is not None and wanted is not None and wanted != bound:
        raise ForeignTenant([FieldError(f"{path}{name}", "is not the key's", "leave it out, or use another key")])
    return bound if wanted is None else wanted


def _new_job(
    data: dict[str, Any], job: Understood, tenant: Tenant, lane: Lane, trace: tuple[str, str] | None, now: datetime
) -> NewJob:
    job_id = new_id()
    trace_id, parent_span_id = (trace_id_of(job_id), None) if trace is None else trace
    deadline = job.deadline
    if job.deadline_seconds is not None:
        deadline = now + timedelta(seconds=job.deadline_seconds)
    return NewJob(
        id=job_id,
        tenant=tenant,
        lane=lane if job.lane is None else Lane(job.lane),
        trace_id=trace_id,
        request=Request(job.model, _body(job, data), data.get("provider_options") or {}),
        constraints=_demanded(job),
        parent_span_id=parent_span_id,
        run_id=job.run_id,
        metadata=data.get("metadata") or {},
        deadline=deadline,
    )


def _body(job: Understood, data: dict[str, Any]) -> dict[str, Any]:
    if isinstance(job, EmbeddingIn):
        return embedding_body(data)
    messages = data.get("messages")
    body = {"messages": [{"role": "user", "content": data["prompt"]}] if messages is None else messages}
    for name in _PARAMETERS:
        value = data.get(name)
        if value is not None:
            body[name] = value
    return body


def _demanded(job: Understood) -> Constraints:
    wanted = UNCONSTRAINED if job.constraints is None else _constraints(job.constraints)
    return replace(wanted, stream=True) if isinstance(job, JobIn) and job.stream else wanted


def _constraints(wanted: ConstraintsIn) -> Constraints:
    return Constraints(
        region=wanted.region,
        classification=wanted.classification,
        strategy=wanted.strategy,
        max_cost=wanted.max_cost_usd,
        max_attempts=wanted.max_attempts,
        fallback=wanted.fallback,
        pin=wanted.pin,
        exclude=tuple(wanted.exclude),
        on_limit=wanted.on_limit,
        max_wait=wanted.max_wait_seconds,
        private_data=wanted.private_data,
        restore=wanted.restore_private_data,
        reuse=wanted.reuse,
        coalesce=wanted.coalesce,
        repair=wanted.repair,
        repair_model=wanted.repair_model,
        zero_retention=wanted.zero_retention,
        on_cut=wanted.on_cut,
        service_tier=wanted.service_tier,
        wait_for=None if wanted.wait_for is None else _wait_for(wanted.wait_for),
    )


def _wait_for(wanted: WaitForIn) -> WaitFor:
    return WaitFor(wanted.signal, wanted.within_seconds, wanted.default)


def utc_now() -> datetime:
    """The time by this process's clock: good enough to tell the past from the future."""
    return datetime.now(UTC)
