"""What trying policies needs of the store: recorded jobs by pages, turns that end by themselves, sums of matches."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from synthralos.domain.findings import Decision, Finding, verdict_of
from synthralos.domain.jobs import Constraints, Tenant
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Transition
from synthralos.store.admin.policy_matches import PolicyMatches
from synthralos.store.admin.simulations import Turns
from synthralos.store.read.recorded import Recorded, RecordedJobs
from synthralos.store.sql.database import Database
from tests.fakes.jobs import new_job, settlement
from tests.fakes.stores import Store


def ids(store: Store, wanted: Recorded, scope: Scope = EVERYTHING, size: int = 2) -> list[list[str]]:
    """The ids of each page."""
    return [[row["id"] for row in page] for page in RecordedJobs(store.database).pages(wanted, scope, size)]


def test_jobs_come_newest_first_in_pages_and_no_more_than_are_wanted(store: Store) -> None:
    a, b, c, d, e = store.submit(*(new_job(f"job {number}") for number in range(5)))
    assert ids(store, Recorded(10)) == [[e, d], [c, b], [a]]
    assert ids(store, Recorded(3)) == [[e, d], [c]]
    assert ids(store, Recorded(10), size=5) == [[e, d, c, b, a]]


def test_a_page_shows_a_job_as_it_ended(store: Store) -> None:
    constraints = Constraints(region="eu", max_cost=Decimal("0.5"))
    [job_id] = store.submit(new_job("größe", constraints=constraints, metadata={"team": "core"}))
    [job] = store.claim([job_id])
    verdict = verdict_of([Finding("abuse", Decision.DENY, "spam", signals={"score": 0.9})])
    assert store.settle(settlement(job, Transition.DENY, verdict=verdict))
    [[row]] = RecordedJobs(store.database).pages(Recorded(10), EVERYTHING)
    assert row["request"]["body"]["messages"][0]["content"] == "größe"
    assert (row["metadata"], row["verdict"]) == ({"team": "core"}, verdict.to_json())
    assert Constraints.from_json(row["constraints"]) == constraints


def test_only_the_jobs_of_the_scope_the_organization_and_the_time(store: Store) -> None:
    tenants = [Tenant("acme", "main"), Tenant("acme", "side"), Tenant("other", "main")]
    main, side, other = store.submit(*(new_job("hi", tenant=tenant) for tenant in tenants))
    assert ids(store, Recorded(9), Scope("acme"), 9) == [[side, main]]
    assert ids(store, Recorded(9), Scope("acme", "main"), 9) == [[main]]
    assert ids(store, Recorded(9, organization="other"), size=9) == [[other]]
    assert ids(store, Recorded(9, organization="other"), Scope("acme")) == []
    now = datetime.now(UTC)
    assert ids(store, Recorded(9, since=now - timedelta(hours=1), until=now + timedelta(hours=1)), size=9) == [
        [other, side, main]
    ]
    assert ids(store, Recorded(9, since=now + timedelta(hours=1))) == []
    assert ids(store, Recorded(9, until=now - timedelta(hours=1))) == []


def test_a_turn_is_held_by_one_until_it_is_given_back(database: Database) -> None:
    turns, others = Turns(database), Turns(database)
    first = turns.take("acme")
    assert first is not None
    assert (others.take("acme"), turns.keep(first)) == (None, True)
    assert others.take("other") is not None
    assert others.take(None) is not None
    turns.give_back(first)
    turns.give_back(first)
    second = others.take("acme")
    assert second is not None
    turns.give_back(first)
    assert (turns.take("acme"), turns.keep(first)) == (None, False)


def test_the_turn_of_a_silent_holder_is_over(database: Database) -> None:
    silent, turns = Turns(database, silence=-1.0), Turns(database)
    gone = silent.take("acme")
    assert gone is not None
    assert turns.take("acme") is not None
    assert silent.keep(gone) is False


def test_matches_add_up(database: Database) -> None:
    matches = PolicyMatches(database)
    assert matches.of("set") == {}
    matches.add({("set", "b"): 2, ("set", "a"): 1, ("other", "a"): 5})
    first = matches.of("set")
    matches.add({("set", "a"): 4})
    found = matches.of("set")
    assert {rule: each.count for rule, each in found.items()} == {"a": 5, "b": 2}
    assert found["a"].last_at >= first["a"].last_at
    assert found["b"] == first["b"]
