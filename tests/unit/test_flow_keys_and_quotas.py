"""Several keys of a provider, each with quotas of its own: one with room goes first, and what was taken binds."""

from collections.abc import Mapping
from dataclasses import replace

from pipelines.flow.breakers import Breakers
from pipelines.flow.gates import Gates
from pipelines.flow.quotas import Quotas
from pipelines.flow.work import Work
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.quota_units import Unit
from synthralos.domain.quotas import Grant, Standing, declared_by, quota_name
from tests.fakes.flow import FIRST, planned
from tests.fakes.stage_jobs import NOON, a_deployment

KEYS = ("some", "some:2")
RATE: Mapping[Unit, float] = {Unit.REQUESTS: 1.0}
DEPLOYMENT = replace(a_deployment(FIRST, adapter="fake"), api_key_env="SOME_API_KEY", rpm=60)
CATALOG = Catalog([DEPLOYMENT])


class Place:
    """Gates before one deployment that may be called with two keys."""

    def __init__(self, **closed: float) -> None:
        self.quotas = Quotas(lambda _: None, lambda: 0.0)
        self.gates = Gates(
            Breakers(lambda: CATALOG, lambda _: None, 60.0, lambda: 0.0, _keys), self.quotas, lambda: CATALOG
        )
        for key in KEYS:
            name = quota_name(DEPLOYMENT, key)
            self.quotas.update({name: Standing(RATE, closed.get(key.replace(":", ""), 0.0), "full")})
            self.quotas.granted(name, Grant({Unit.REQUESTS: 100.0}, 0.0, Standing(RATE)))

    def chosen(self, jobs: int = 40) -> set[str | None]:
        """The keys that so many jobs would be called with."""
        return {self.gates.key_for(Work(planned(FIRST), NOON), DEPLOYMENT) for _ in range(jobs)}


def _keys(_: Deployment) -> tuple[str, ...]:
    return KEYS


def test_keys_that_have_room_share_the_calls() -> None:
    assert Place().chosen() == set(KEYS)


def test_a_key_whose_quota_is_closed_leaves_the_calls_to_the_other() -> None:
    place = Place(some=60.0)
    assert place.chosen() == {"some:2"}
    assert place.gates.admit(Work(planned(FIRST), NOON)) == 0
    assert not place.gates.shuts_off(DEPLOYMENT)


def test_where_all_are_closed_the_deployment_is_shut_off_and_says_until_when() -> None:
    place = Place(some=60.0, some2=30.0)
    work = Work(planned(FIRST), NOON)
    assert place.gates.admit(work) is None
    assert place.gates.shuts_off(DEPLOYMENT)
    assert place.gates.soonest(work).failure.failure_class is FailureClass.RATE_LIMITED


def test_the_call_is_made_with_the_key_whose_quota_was_taken() -> None:
    place = Place()
    work = Work(planned(FIRST), NOON)
    assert place.gates.take(work, DEPLOYMENT)
    taken = place.gates.key_for(work, DEPLOYMENT)
    assert taken is not None
    place.quotas.pacers[quota_name(DEPLOYMENT, taken)].close(60.0, "refused")
    assert place.gates.key_for(work, DEPLOYMENT) == taken


def test_a_refusal_closes_the_quota_of_its_key_alone() -> None:
    place = Place()
    refusal = Failure(FailureClass.RATE_LIMITED, "slow down", http_status=429, retry_after=60.0)
    place.gates.answered("job", DEPLOYMENT, refusal, 1.0, "some", "some")
    assert place.chosen() == {"some:2"}


def test_what_a_deployment_declares_holds_for_each_of_its_keys() -> None:
    declared = declared_by(CATALOG, _keys)
    assert declared == {quota_name(DEPLOYMENT, key): {Unit.REQUESTS: 60} for key in KEYS}
    assert declared_by(CATALOG) == {quota_name(DEPLOYMENT): {Unit.REQUESTS: 60}}
