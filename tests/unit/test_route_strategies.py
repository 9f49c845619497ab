from decimal import Decimal

from pipelines.route.protocol import Candidate
from pipelines.route.strategies import STRATEGIES, Cheapest, Pinned
from synthralos.domain.jobs import Constraints
from tests.fakes.stage_jobs import a_deployment, a_job


def candidate(deployment_id: str, cost: str | None) -> Candidate:
    return Candidate(a_deployment(deployment_id), None if cost is None else Decimal(cost))


def test_cheapest_goes_by_cost_then_id_and_puts_unknown_prices_last() -> None:
    candidates = [
        candidate("a/unknown@us", None),
        candidate("b/dear@us", "0.02"),
        candidate("d/cheap@us", "0.01"),
        candidate("c/cheap@us", "0.010"),
        candidate("e/free@us", "0"),
    ]
    ranked = [step.deployment for step in Cheapest().rank(a_job(), candidates)]
    assert ranked == ["e/free@us", "c/cheap@us", "d/cheap@us", "b/dear@us", "a/unknown@us"]


def test_an_unknown_price_stays_unknown_in_the_plan() -> None:
    [step] = Cheapest().rank(a_job(), [candidate("a/unknown@us", None)])
    assert step.estimated_cost is None


def test_pinned_puts_the_pin_before_cheaper_ones() -> None:
    job = a_job(constraints=Constraints(pin="b/dear@us"))
    candidates = [candidate("a/cheap@us", "0.01"), candidate("b/dear@us", "0.02")]
    assert [step.deployment for step in Pinned().rank(job, candidates)] == ["b/dear@us", "a/cheap@us"]


def test_pinned_without_a_pin_is_cheapest() -> None:
    candidates = [candidate("b/dear@us", "0.02"), candidate("a/cheap@us", "0.01")]
    assert [step.deployment for step in Pinned().rank(a_job(), candidates)] == ["a/cheap@us", "b/dear@us"]


def test_the_table_has_every_strategy_under_its_own_name() -> None:
    assert {name: strategy.name for name, strategy in STRATEGIES.items()} == {name: name for name in STRATEGIES}
