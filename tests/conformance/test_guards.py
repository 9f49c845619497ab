"""What every guard of the table promises. A new guard is covered by adding its line there."""

import copy

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.guard.protocol import Guard
from pipelines.guard.table import GUARDS, Tools
from pipelines.tokens import TokenCounter
from synthralos.config.config import GuardActions
from synthralos.domain.deployments import Catalog
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.jobs import Job
from tests.fakes.generated import jobs
from tests.fakes.prompts import a_memory
from tests.fakes.stage_jobs import a_deployment, a_job
from tests.fakes.stages import a_config, a_limiter

CATALOG = Catalog([a_deployment("openai/large@eu", window=8_000), a_deployment("sandbox/small@us", window=1_000)])

REMEMBERING = {"similar_prompts"}

ODD_BODIES = [
    {"messages": []},
    {"messages": [{"role": "user"}]},
    {"messages": [{"role": "user", "content": None}]},
    {"messages": [{"role": "user", "content": []}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
    {"messages": [{"role": "user", "content": "\x00"}]},
    {"messages": [{"role": "user", "content": "a" * 200_000}]},
    {"messages": [{"role": "tool", "content": "42", "tool_call_id": "call"}] * 500},
    {"max_output_tokens": 10**9},
]


@pytest.fixture(params=sorted(GUARDS))
def guard(request: pytest.FixtureRequest) -> Guard:
    return GUARDS[request.param](
        a_config(CATALOG, guards=GuardActions("flag", "flag", "redact", "flag")),
        Tools(TokenCounter(), a_limiter(), a_memory()),
    )


any_batch = settings(
    deadline=None,
    database=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@any_batch
@given(batch=st.lists(jobs(), max_size=5))
def test_there_is_one_entry_per_job(guard: Guard, batch: list[Job]) -> None:
    findings = guard.inspect(batch)
    assert len(findings) == len(batch)
    assert all(found is None or isinstance(found, Finding) for found in findings)


def test_an_empty_batch_has_no_findings(guard: Guard) -> None:
    assert guard.inspect([]) == []


@any_batch
@given(batch=st.lists(jobs(), max_size=5))
def test_the_jobs_are_not_changed(guard: Guard, batch: list[Job]) -> None:
    before = copy.deepcopy(batch)
    guard.inspect(batch)
    assert batch == before


@any_batch
@given(batch=st.lists(jobs(), max_size=5))
def test_findings_are_in_the_order_of_the_jobs(guard: Guard, batch: list[Job]) -> None:
    if guard.name in REMEMBERING:  # what it finds depends on who came before
        assert len(guard.inspect(batch)) == len(batch)
        return
    assert guard.inspect(batch) == list(reversed(guard.inspect(list(reversed(batch)))))


@any_batch
@given(batch=st.lists(jobs(), max_size=5))
def test_every_finding_names_its_guard_says_why_and_can_be_stored(guard: Guard, batch: list[Job]) -> None:
    for found in filter(None, guard.inspect(batch)):
        assert found.guard == guard.name
        assert found.reason
        assert (found.defer_seconds is not None) is (found.decision is Decision.DEFER)
        assert orjson_round_trip(found)


def orjson_round_trip(found: Finding) -> bool:
    stored = found.to_json()
    return bool(orjson.loads(orjson.dumps(stored)) == stored)


@pytest.mark.parametrize("body", ODD_BODIES)
def test_no_body_that_the_api_lets_through_makes_it_raise(guard: Guard, body: dict[str, object]) -> None:
    assert len(guard.inspect([a_job(body=body, plan=plan) for plan in ("free", "enterprise", "")])) == 3


def test_it_has_the_name_of_its_line(guard: Guard) -> None:
    assert guard.name in GUARDS
