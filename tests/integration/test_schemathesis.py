"""The API against its own OpenAPI document: generated requests, good and bad, are answered as it says."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from migrations.runner import upgrade
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Transition
from synthralos.store.sql.database import Database
from tests.fakes.jobs import failure
from tests.integration.api_place import JOBS, TRACES, api_over, core_over, submitted

EXAMPLES = 30
KEYS = "/api/v1/keys"
ALL_CHECKS = list(HealthCheck)
FLAGS, LIMITS, DEPLOYMENTS = "/api/v1/flags", "/api/v1/limits", "/api/v1/deployments"
OWN_LIMITS = "/api/v1/organizations/{name}/limits"
METRICS = "/metrics"
FOR_ALL = (METRICS, FLAGS, LIMITS, DEPLOYMENTS, OWN_LIMITS, "/api/v1/breaker", "/api/v1/quotas", "/api/v1/aliases")
"""What only a key of the whole installation may use."""
POLICIES, SCHEDULES = "/api/v1/policies", "/api/v1/schedules"
ALIASES = "/api/v1/aliases"
IMPORT = "/api/v1/dead-letters/import"
RETENTION = "/api/v1/organizations/{name}/retention"
WEBHOOKS = "/api/v1/webhooks"
OPERATIONS = [
    ("POST", JOBS),
    ("GET", JOBS),
    ("GET", f"{JOBS}/{{job_id}}"),
    ("GET", f"{JOBS}/{{job_id}}/events"),
    ("GET", f"{JOBS}/{{job_id}}/evidence"),
    ("GET", "/api/v1/runs/{run_id}"),
    ("POST", "/api/v1/runs/{run_id}/recover"),
    ("PUT", "/api/v1/runs/{run_id}"),
    ("DELETE", "/api/v1/runs/{run_id}/caps"),
    ("POST", "/api/v1/runs/{run_id}/fork"),
    ("POST", "/api/v1/runs/{run_id}/waits"),
    ("GET", "/api/v1/runs/{run_id}/waits/{wait_id}"),
    ("GET", "/api/v1/waits"),
    ("GET", "/api/v1/waits/{wait_id}"),
    ("POST", "/api/v1/waits/{wait_id}"),
    ("GET", "/api/v1/incidents"),
    ("GET", "/api/v1/incidents/{incident_id}"),
    ("POST", "/api/v1/incidents/{incident_id}/resolve"),
    ("POST", "/api/v1/incidents/{incident_id}/acknowledge"),
    ("POST", f"{JOBS}/{{job_id}}/thoughts"),
    ("GET", f"{JOBS}/{{job_id}}/feedback"),
    ("POST", f"{JOBS}/{{job_id}}/feedback"),
    ("GET", "/api/v1/observability/demand"),
    ("GET", "/api/v1/observability/errors"),
    ("GET", "/api/v1/observability/metrics"),
    ("GET", "/api/v1/credentials"),
    ("GET", "/api/v1/dead-letters/export"),
    ("POST", IMPORT),
    ("GET", "/api/v1/breakers"),
    ("GET", "/api/v1/dead-letters"),
    ("GET", "/api/v1/dead-letters/causes"),
    ("GET", "/api/v1/dead-letters/operations"),
    ("POST", "/api/v1/dead-letters/operations"),
    ("GET", "/api/v1/dead-letters/operations/{operation_id}"),
    ("POST", "/api/v1/dead-letters/operations/{operation_id}/repeat"),
    ("POST", "/api/v1/dead-letters/operations/{operation_id}/{change}"),
    ("GET", "/api/v1/breaker-changes"),
    ("GET", "/api/v1/breakers/{name}"),
    ("POST", "/api/v1/breakers/{name}/reset"),
    ("GET", "/api/v1/exports"),
    ("GET", "/api/v1/exports/{destination}"),
    ("POST", "/api/v1/exports/{destination}/resume"),
    ("GET", "/api/v1/exports/{destination}/set-aside"),
    ("POST", "/api/v1/exports/{destination}/set-aside/retry"),
    ("POST", "/api/v1/exports/{destination}/set-aside/drop"),
    ("GET", "/api/v1/quotas"),
    ("GET", "/api/v1/quotas/{name}"),
    ("POST", "/api/v1/quotas/{name}/reset"),
    ("POST", f"{JOBS}/bulk"),
    ("POST", f"{JOBS}/{{job_id}}/cancel"),
    ("POST", f"{JOBS}/{{job_id}}/retry"),
    ("POST", f"{JOBS}/{{job_id}}/reroute"),
    ("GET", KEYS),
    ("POST", KEYS),
    ("POST", f"{KEYS}/{{key_id}}/rotate"),
    ("DELETE", f"{KEYS}/{{key_id}}"),
    ("GET", "/api/v1/organizations"),
    ("PUT", "/api/v1/organizations/{name}"),
    ("GET", FLAGS),
    ("GET", f"{FLAGS}/{{name}}"),
    ("PUT", f"{FLAGS}/{{name}}"),
    ("DELETE", f"{FLAGS}/{{name}}"),
    ("GET", LIMITS),
    ("PUT", f"{LIMITS}/{{plan}}"),
    ("DELETE", f"{LIMITS}/{{plan}}"),
    ("GET", OWN_LIMITS),
    ("PUT", OWN_LIMITS),
    ("DELETE", OWN_LIMITS),
    ("GET", DEPLOYMENTS),
    ("GET", f"{DEPLOYMENTS}/{{deployment_id}}"),
    ("PUT", f"{DEPLOYMENTS}/{{deployment_id}}"),
    ("DELETE", f"{DEPLOYMENTS}/{{deployment_id}}"),
    ("GET", ALIASES),
    ("GET", f"{ALIASES}/{{name}}"),
    ("PUT", f"{ALIASES}/{{name}}"),
    ("DELETE", f"{ALIASES}/{{name}}"),
    ("GET", POLICIES),
    ("POST", POLICIES),
    ("POST", f"{POLICIES}/evaluate"),
    ("POST", f"{POLICIES}/simulate"),
    ("POST", f"{POLICIES}/lint"),
    ("GET", f"{POLICIES}/{{set_id}}/coverage"),
    ("GET", f"{POLICIES}/{{set_id}}/versions/{{version}}/diff"),
    ("GET", f"{POLICIES}/{{set_id}}"),
    ("PUT", f"{POLICIES}/{{set_id}}"),
    ("DELETE", f"{POLICIES}/{{set_id}}"),
    ("GET", f"{POLICIES}/{{set_id}}/versions"),
    ("POST", f"{POLICIES}/{{set_id}}/rollback"),
    ("GET", SCHEDULES),
    ("POST", SCHEDULES),
    ("GET", f"{SCHEDULES}/{{schedule_id}}"),
    ("PUT", f"{SCHEDULES}/{{schedule_id}}"),
    ("DELETE", f"{SCHEDULES}/{{schedule_id}}"),
    ("POST", f"{SCHEDULES}/{{schedule_id}}/pause"),
    ("POST", f"{SCHEDULES}/{{schedule_id}}/resume"),
    ("POST", f"{SCHEDULES}/{{schedule_id}}/run"),
    ("GET", f"{SCHEDULES}/{{schedule_id}}/next"),
    ("GET", f"{SCHEDULES}/{{schedule_id}}/firings"),
    ("POST", f"{SCHEDULES}/{{schedule_id}}/backfill"),
    ("GET", f"{SCHEDULES}/{{schedule_id}}/backfill"),
    ("POST", "/api/v1/route/explain"),
    ("GET", "/api/v1/audit"),
    ("GET", "/api/v1/costs"),
    ("GET", "/api/v1/budgets"),
    ("POST", "/api/v1/budgets"),
    ("GET", "/api/v1/budgets/{budget_id}"),
    ("PUT", "/api/v1/budgets/{budget_id}"),
    ("POST", "/api/v1/budgets/{budget_id}/raise"),
    ("DELETE", "/api/v1/budgets/{budget_id}"),
    ("GET", TRACES),
    ("GET", f"{TRACES}/{{trace_id}}"),
    ("GET", f"{TRACES}/{{trace_id}}/export"),
    ("GET", "/api/v1/events"),
    ("POST", f"{JOBS}/{{job_id}}/repair"),
    ("GET", "/api/v1/repairs"),
    ("GET", "/api/v1/repairs/{repair_id}"),
    ("POST", "/api/v1/repairs/{repair_id}/report"),
    ("GET", RETENTION),
    ("PUT", RETENTION),
    ("DELETE", RETENTION),
    ("GET", "/api/v1/erasures"),
    ("POST", "/api/v1/erasures"),
    ("GET", "/api/v1/erasures/{erasure_id}"),
    ("GET", WEBHOOKS),
    ("POST", WEBHOOKS),
    ("GET", f"{WEBHOOKS}/{{webhook_id}}"),
    ("PUT", f"{WEBHOOKS}/{{webhook_id}}"),
    ("DELETE", f"{WEBHOOKS}/{{webhook_id}}"),
    ("POST", f"{WEBHOOKS}/{{webhook_id}}/rotate-secret"),
    ("POST", f"{WEBHOOKS}/{{webhook_id}}/test"),
    ("POST", f"{WEBHOOKS}/{{webhook_id}}/replay"),
    ("GET", f"{WEBHOOKS}/{{webhook_id}}/deliveries"),
    ("POST", f"{WEBHOOKS}/{{webhook_id}}/deliveries/{{delivery_id}}/retry"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", METRICS),
]
ENDLESS = {("GET", f"{TRACES}/tail")}
"""Streams without an end: a right request would be answered for ever."""


@schemathesis.serializer("application/x-ndjson")
def _as_lines(_: object, value: object) -> bytes:
    """Lines are text for the document: what is generated is sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@dataclass(frozen=True)
class Site:
    schema: schemathesis.BaseSchema
    secret: str
    whole: str
    succeeded: str
    failed: str
    scheduled: str

    def real_id(self, name: str, generated: str, *, may_be_open: bool) -> str:
        """A real id in place of every other generated one. The stream of a job that is not over would never end."""
        if len(generated) % 2 == 0:
            return generated
        if name == "schedule_id":
            return self.scheduled
        return self.failed if may_be_open and len(generated) % 4 == 1 else self.succeeded


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('fuzz') / 'fuzz.db'}")
    upgrade(database)
    with api_over(core_over(database, max_body_bytes=1_000_000)) as place:
        secret = place.key(Role.ADMIN)
        client = place.client_with(secret)
        succeeded, failed = submitted(client), submitted(client)
        place.finish(succeeded)
        place.finish(failed, Transition.FAIL, failure=failure().to_json())
        wanted = {"name": "nightly", "cron": "@daily", "job": {"prompt": "Hi"}}
        scheduled = client.post(SCHEDULES, json=wanted).json()["id"]
        schema = schemathesis.openapi.from_url(f"{place.url}/openapi.json")
        # More items than a list may have can be more bytes than a body may have: that is found first.
        refusals = schema.config.checks.negative_data_rejection
        refusals.expected_statuses = [*refusals.expected_statuses, "413"]
        yield Site(schema, secret, place.key(Role.VIEWER, EVERYTHING), succeeded, failed, scheduled)
    database.close()


def test_every_operation_of_the_document_is_fuzzed(site: Site) -> None:
    documented = {(o.ok().method.upper(), o.ok().path) for o in site.schema.get_all_operations()}
    assert documented == set(OPERATIONS) | ENDLESS


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_the_document_says(site: Site, method: str, path: str, mode: GenerationMode) -> None:
    operation = site.schema[path][method]

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=ALL_CHECKS)
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: schemathesis.Case) -> None:
        for name, value in case.path_parameters.items():
            if not name.endswith("_id"):
                continue
            case.path_parameters[name] = site.real_id(name, str(value), may_be_open=not path.endswith("/events"))
        # Models, regions and times depend on the catalog and the clock: a valid request may be refused.
        headers = {"Authorization": f"Bearer {site.whole if path.startswith(FOR_ALL) else site.secret}"}
        # An unknown parameter may have a value that has no form in a query: then nothing wrong is sent.
        strange = set(case.query or {}) - {parameter.name for parameter in operation.query}
        # Any body is lines of text, each of which is answered for itself.
        tolerant = bool(strange) or path == IMPORT
        excluded = [positive_data_acceptance, *([negative_data_rejection] if tolerant else [])]
        case.call_and_validate(headers=headers, excluded_checks=excluded, timeout=60)

    try:
        fuzz()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # nothing can be wrong with a request that takes nothing
