"""Budgets hold while workers are killed: what the provider bills never exceeds them."""

from collections.abc import Callable
from decimal import Decimal

import pytest
import sqlalchemy as sa

from synthralos.domain.budgets import AtLimit, Budget, Per, Period
from synthralos.domain.ids import new_id
from synthralos.domain.states import State
from synthralos.store.admin.audit import By
from synthralos.store.admin.budgets import BudgetStore
from synthralos.store.tables import budget_holds
from tests.faults.harness import PRICES, Site

_JOBS, _AT_ONCE = 1000, 250
_LIMIT = Decimal("0.13")
"""USD: less than what all jobs cost, and more than what two workers can have in flight besides `_SPENT`."""

_SPENT = (Decimal("0.01"), Decimal("0.02"))
"""USD after which a worker is killed, with other calls in flight."""

_USAGE = {"prompt_tokens": 5, "completion_tokens": 15, "total_tokens": 20}


@pytest.mark.timeout(300)
def test_kills_and_500_calls_at_once_never_overspend(make_site: Callable[..., Site]) -> None:
    """Each call may cost what its 20 tokens of answer do at most, and costs what the provider counts."""
    site = make_site(max_losses=3, flight_slots=_AT_ONCE, worker_lost_after=5)
    budgets = BudgetStore(site.database)
    one, other = (
        budgets.create(Budget(new_id(), name, per, Period.TOTAL, _LIMIT, AtLimit.DENY, "acme"), By("test"))
        for name, per in (("all", Per.ORGANIZATION), ("main", Per.WORKSPACE))
    )
    site.scheduler()
    workers = [site.worker(), site.worker()]
    for worker in workers:
        worker.supervise()
    site.provider.behave(delay=0.3, usage=_USAGE)
    site.submit(_JOBS, body={"max_output_tokens": 20})
    for worker, spent in zip(workers, _SPENT, strict=True):
        site.eventually(lambda spent=spent: sum(use.spent for use in budgets.uses(one)) >= spent, f"{spent} is spent")
        worker.kill()
    site.check_promises(timeout=120)
    states = site.states()
    assert set(states) == {State.SUCCEEDED, State.FAILED}
    bill = sum((_charge(line) for line in site.provider.bill() if line["billed"]), Decimal(0))
    for each in (one, other):
        [use] = budgets.uses(each)
        assert use.held == 0
        assert bill <= use.spent + use.maybe <= _LIMIT
        assert _LIMIT - use.spent - use.maybe < Decimal("0.001")  # nobody was refused who had room
    assert {hold.fate for hold in site.query(sa.select(budget_holds))} <= {"maybe"}


def _charge(line: dict[str, object]) -> Decimal:
    into, out = PRICES["fake/small@us"]
    tokens = Decimal(str(line["input_tokens"])), Decimal(str(line["output_tokens"]))
    return (tokens[0] * Decimal(into) + tokens[1] * Decimal(out)) / 1_000_000
