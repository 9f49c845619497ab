import orjson
from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.failures import Failure
from synthralos.domain.findings import Decision, Finding, Verdict, verdict_of
from synthralos.domain.jobs import Constraints
from synthralos.domain.plans import RoutingPlan
from tests.fakes.generated import constraints, failures, plans


@given(constraints())
def test_constraints_survive_storing(original: Constraints) -> None:
    assert Constraints.from_json(orjson.loads(orjson.dumps(original.to_json()))) == original


@given(failures)
def test_failures_survive_storing(original: Failure) -> None:
    assert Failure.from_json(orjson.loads(orjson.dumps(original.to_json()))) == original


@given(plans)
def test_plans_survive_storing(original: RoutingPlan) -> None:
    assert RoutingPlan.from_json(orjson.loads(orjson.dumps(original.to_json()))) == original


def test_constraints_of_an_empty_object_are_the_defaults() -> None:
    assert Constraints.from_json({}) == Constraints()


SEVERITY = [Decision.ALLOW, Decision.FLAG, Decision.REUSE, Decision.DEFER, Decision.DENY]
findings = st.builds(
    Finding,
    st.sampled_from(["a", "b"]),
    st.sampled_from(Decision),
    st.text(max_size=5),
    defer_seconds=st.none() | st.floats(0, 1e6),
)


@given(st.lists(findings))
def test_a_verdict_is_the_severest_finding(found: list[Finding]) -> None:
    verdict = verdict_of(found)
    assert SEVERITY.index(verdict.decision) == max((SEVERITY.index(f.decision) for f in found), default=0)
    assert list(verdict.findings) == found


@given(st.lists(findings))
def test_a_deferred_job_waits_for_the_longest_wait(found: list[Finding]) -> None:
    waits = [f.defer_seconds or 0.0 for f in found if f.decision is Decision.DEFER]
    assert verdict_of(found).defer_seconds == max(waits, default=0.0)


@given(st.lists(findings))
def test_a_verdict_can_be_stored(found: list[Finding]) -> None:
    assert Verdict.from_json(orjson.loads(orjson.dumps(verdict_of(found).to_json()))) == verdict_of(found)
