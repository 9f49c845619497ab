"""Search: the same jobs are found whether an index has them or not."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.findings import Decision, Finding, Verdict
from synthralos.domain.jobs import Tenant
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.search import SearchError, marker, search_of, tag_marker
from synthralos.domain.states import Stage, Transition
from synthralos.domain.trace_queries import Found, Range, Sort, Wanted
from synthralos.store.read.search import TraceSearch
from synthralos.store.retention.digest import Digest
from synthralos.store.retention.text_index import TextIndex
from synthralos.store.sql.database import Database
from tests.fakes.jobs import attempt_end, failure, new_job, settlement
from tests.fakes.stores import Store

OTHER = Tenant("other", "side", "bob")

Bring = Callable[[Store], None]


def leave(store: Store) -> None:
    """No leader has come by."""


def digested(store: Store) -> None:
    """The leader has the figures, and not the words."""
    Digest(store.database).finish()


def indexed(store: Store) -> None:
    """The leader has everything."""
    digested(store)
    TextIndex(store.database).finish()


@pytest.fixture(params=[leave, digested, indexed])
def bring(request: pytest.FixtureRequest) -> Bring:
    """How far the leader has come."""
    found: Bring = request.param
    return found


def over(store: Store, text: str = "Hello", answer: str = "Paris", *, cost: str = "0.1", **job: Any) -> str:
    """A job that succeeded two seconds ago."""
    begun = store.started(new_job(text, **job))
    store.settle(settlement(begun, attempt=attempt_end(1, cost=Decimal(cost)), result={"text": answer}, analyzed=True))
    store.backdate(begun.id, finished_at=2)
    return begun.id


def broken(store: Store, text: str = "Hello") -> str:
    """A job that failed two seconds ago."""
    begun = store.started(new_job(text))
    end = attempt_end(1, Outcome.FAILED, billed=Billed.NO, usage=None, cost=None)
    store.settle(settlement(begun, Transition.FAIL, attempt=end, failure=failure().to_json(), analyzed=True))
    store.backdate(begun.id, finished_at=2)
    return begun.id


def found(store: Store, text: str | None = None, scope: Scope = EVERYTHING, **wanted: Any) -> list[str]:
    return [match.job_id for match in page(store, text, scope, **wanted).matches]


def page(
    store: Store, text: str | None = None, scope: Scope = EVERYTHING, markers: tuple[str, ...] = (), **wanted: Any
) -> Found:
    return TraceSearch(store.database).find(Wanted(search=search_of(text, markers), **wanted), scope)


def test_words_are_found_in_prompt_answer_error_and_metadata(store: Store, bring: Bring) -> None:
    first = over(store, "The quick, brown fox-trot. Ärger mit Straßen; 東京", "It was Paris_2024.")
    second = over(store, "nothing of interest", metadata={"project": "north star", "n": 7})
    third = broken(store)
    bring(store)
    for text, expected in {
        "quick": [first], "QUICK fox": [first], '"brown fox"': [first], '"fox brown"': [], "paris 2024": [first],
        "ärger": [first], "東京": [first], "arger": [], "qui*": [first], "qui": [], "interest -quick": [second],
        "north": [second], "server error": [third], "zebra": [], "it's": [], "o'brown": [],
    }.items():  # fmt: skip
        assert found(store, text) == expected, text


def test_an_open_job_is_found_too(store: Store, bring: Bring) -> None:
    [queued] = store.submit(new_job("a giraffe"))
    bring(store)
    assert found(store, "giraffe") == [queued]
    assert found(store, "giraffe", state=("succeeded",)) == []
    assert found(store, "giraffe", stage="guard") == [queued]
    assert found(store, "giraffe", stage="analyze") == []


def test_a_key_finds_what_its_tenant_has(store: Store, bring: Bring) -> None:
    mine, theirs = over(store, "a secret"), over(store, "a secret", tenant=OTHER)
    [opened] = store.submit(new_job("a secret", tenant=OTHER))
    bring(store)
    assert found(store, "secret") == [opened, theirs, mine]
    assert found(store, "secret", Scope("acme")) == [mine]
    assert found(store, "secret", Scope("other", "side", "bob")) == [opened, theirs]
    assert found(store, "secret", Scope("other", "side", "ann")) == []
    assert found(store, "secret", Scope("acme"), organization="other") == []
    assert found(store, "secret", organization="other", workspace="side", user="bob") == [opened, theirs]


def test_figures_bound_what_is_found(store: Store, bring: Bring) -> None:
    cheap, dear = over(store, cost="0.1"), over(store, cost="0.5", run_id="r1", model="small")
    bring(store)
    assert found(store, cost=Range(least=Decimal("0.2"))) == [dear]
    assert found(store, cost=Range(most=Decimal("0.1"))) == [cheap]
    assert found(store, tokens=Range(1500, 1500)) == [dear, cheap]
    assert found(store, tokens=Range(most=1499)) == []
    assert found(store, seconds=Range(least=3600)) == []
    assert found(store, run_id="r1") == found(store, model="small") == [dear]
    assert found(store, state=("failed", "denied")) == []


def test_tags_findings_deployments_and_failures_are_found(store: Store, bring: Bring) -> None:
    tagged = over(store, metadata={"project": "search", "n": 7})
    flagged = store.claimed(new_job())
    verdict = Verdict(Decision.DENY, (Finding("abuse", Decision.DENY, "too much"),))
    store.settle(settlement(flagged, Transition.DENY, verdict=verdict, analyzed=True))
    store.backdate(flagged.id, finished_at=2)
    failing = broken(store)
    bring(store)
    assert found(store, markers=(tag_marker("project", "search"),)) == [tagged]
    assert found(store, markers=(tag_marker("n", "7"),)) == [tagged]
    assert found(store, markers=(tag_marker("n", "8"),)) == []
    assert found(store, markers=(marker("f", "abuse"),)) == [flagged.id]
    assert found(store, markers=(marker("c", "server_error"),)) == [failing]
    assert found(store, markers=(marker("d", "sandbox/small@eu"),)) == [failing, tagged]


@pytest.mark.parametrize(("few", "many"), [(0, 10_000), (10_000, 10_000), (10_000, -1)])
@pytest.mark.parametrize("sort", list(Sort))
def test_pages_have_everything_once(
    store: Store, sort: Sort, few: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthralos.store.read.search.FEW", few)
    monkeypatch.setattr("synthralos.store.read.search.SURELY_MANY", many)
    jobs = [over(store, cost=f"0.{number % 3}") for number in range(7)]
    indexed(store)
    if sort is Sort.NEWEST:
        jobs += store.submit(new_job(), new_job())
    seen: list[str] = []
    after: Any = None
    while True:
        part = page(store, "hello", sort=sort, after=after, limit=2)
        seen += [match.job_id for match in part.matches]
        after = part.after
        if after is None:
            break
    assert sorted(seen) == sorted(jobs)
    assert len(seen) == len(jobs)
    if sort is Sort.NEWEST:
        assert seen == sorted(jobs, reverse=True)
    if sort is Sort.COST:
        costs = [store.view(job_id)["cost"] for job_id in seen]
        assert costs == sorted(costs, reverse=True)


def test_a_retried_job_is_found_as_what_it_is_now(store: Store) -> None:
    job_id = broken(store, "again and again")
    indexed(store)
    store.operations.retry(job_id, EVERYTHING, "operator", "")
    assert found(store, "again", state=("failed",)) == []
    assert found(store, "again", stage=Stage.GUARD) == [job_id]


def test_it_says_how_far_it_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert page(store).indexed_until is None
    over(store)
    indexed(store)
    answer = page(store, "hello")
    assert answer.indexed_until is not None
    assert answer.complete
    monkeypatch.setattr("synthralos.store.read.search_parts.MOST_DIRECT", 1)
    store.submit(new_job(), new_job())
    assert not page(store, "hello").complete


@pytest.mark.parametrize("text", ["-only", " ".join("abcdefghijklmnopq")])
def test_what_cannot_be_asked_is_refused(text: str) -> None:
    with pytest.raises(SearchError):
        search_of(text)


def test_nothing_is_asked_where_nothing_is_said() -> None:
    assert search_of("  ") is None
    assert search_of(None) is None


def test_of_a_request_that_is_too_long_the_beginning_is_searched(store: Store, database: Database) -> None:
    job_id = over(store, "alpha " + "filler " * 20_000 + " omega")
    indexed(store)
    assert found(store, "alpha") == [job_id]


def test_words_that_many_have_are_not_gathered_first(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has no statistics of words")
    store = Store(database)
    for _ in range(3):
        over(store)
    indexed(store)
    with database.transaction() as connection:
        connection.exec_driver_sql("ANALYZE trace_texts")
    asked: list[str] = []

    def note(*given: Any) -> None:
        asked.append(given[2])

    def statements(many: int) -> int:
        monkeypatch.setattr("synthralos.store.read.search.SURELY_MANY", many)
        before = len(asked)
        assert len(found(store, "hello")) == 3
        return len(asked) - before

    sa.event.listen(database.search, "before_cursor_execute", note)
    try:
        assert statements(3) == statements(2) + 1
    finally:
        sa.event.remove(database.search, "before_cursor_execute", note)
