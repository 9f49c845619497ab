"""The OpenAPI document: complete and true, although bodies are read and answers are written past the framework."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.http.openapi import REF, header, idempotency_key, problem
from api.http.paths import JOBS_PATH
from api.v1.aliases import AliasIn
from api.v1.budgets import BudgetIn, RaiseIn
from api.v1.configuration_views import FlagIn, LimitsIn
from api.v1.dead_letter_files import ExportedLine
from api.v1.dead_letter_views import OperationIn
from api.v1.exports import SetAsideIn
from api.v1.feedback import FeedbackIn
from api.v1.incident_views import CommentIn
from api.v1.key_views import KeyIn, OrganizationIn, RotateIn
from api.v1.policy_views import EvaluateIn, LintIn, PolicyIn, RollbackIn
from api.v1.repair_views import RepairIn, ReportIn
from api.v1.retention_views import ErasureIn, RetentionIn
from api.v1.route_views import ExplainIn
from api.v1.run_caps import RunCapsIn
from api.v1.run_forks import ForkIn
from api.v1.runs import RecoverIn
from api.v1.schedule_views import BackfillIn, PauseIn
from api.v1.simulate import FailedView, ProgressView, SimulateIn, SimulationView
from api.v1.thoughts import ThoughtIn
from api.v1.views import ProblemDocument, Receipt, Receipts
from api.v1.wait_views import AnswerIn, RunWaitIn
from api.v1.webhook_views import ReplayIn, RotateSecretIn, WebhookIn
from pipelines.intake.embedding import EmbeddingIn
from pipelines.intake.schedules import ScheduleIn
from pipelines.intake.schema import MOST_JOBS, BulkIn, JobIn, ReasonIn, RerouteIn, RerouteJobIn, RetryIn
from synthralos.config.catalog import DeploymentEntry

_TAKEN = (
    JobIn, EmbeddingIn, ReasonIn, RerouteIn, BulkIn, KeyIn, RotateIn, OrganizationIn, FlagIn, LimitsIn, DeploymentEntry,
    PolicyIn, RollbackIn, LintIn, EvaluateIn, SimulateIn,
    ScheduleIn, PauseIn, BackfillIn, OperationIn, RecoverIn, RunCapsIn, ForkIn,
    BudgetIn, RaiseIn, AliasIn, ExplainIn, AnswerIn, RunWaitIn, ThoughtIn, FeedbackIn,
    WebhookIn, RotateSecretIn, ReplayIn, CommentIn, RepairIn, ReportIn,
    RetryIn, RerouteJobIn, SetAsideIn, RetentionIn, ErasureIn,
)  # fmt: skip
_ANSWERED = (ProblemDocument, Receipt, Receipts, ProgressView, SimulationView, FailedView, ExportedLine)

_SUBMISSION = (
    "Accept one job (an object) or up to 1,000 (an array): all of them or none. Answers when they are durable; "
    "what becomes of them is at `url`."
)


def describe(app: FastAPI, version: str) -> dict[str, Any]:
    """The whole document."""
    document = get_openapi(
        title="SynthralOS", version=version, description="LLM work as durable jobs.", routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for models, mode in ((_TAKEN, "validation"), (_ANSWERED, "serialization")):
        _, definitions = models_json_schema([(model, mode) for model in models], ref_template=REF)  # type: ignore[misc]
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
    one = [{"$ref": REF.format(model=name)} for name in ("JobIn", "EmbeddingIn")]
    many = {"type": "array", "items": {"anyOf": one}, "minItems": 1, "maxItems": MOST_JOBS}
    receipts = [{"$ref": REF.format(model=name)} for name in ("Receipt", "Receipts")]
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
            idempotency_key(),
            header("traceparent", "W3C trace context: the jobs join that trace; an invalid one is ignored"),
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"anyOf": [*one, many]}}}},
        "responses": {
            "202": accepted,
            **{str(status): problem(status) for status in (400, 401, 403, 408, 413, 415, 422, 429, 500, 503)},
        },
    }
