"""Search: the same jobs are found whether an index has them or not."""

from collections.abc import Callable
from datetime import UTC, datetime
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
from synthralos.store.admin.feedback import FeedbackStore, Said
from synthralos.store.read.search import TraceSearch
from synthralos.store.retention.digest import Digest
from synthralos.store.retention.text_index import TextIndex
from synthralos.store.sql import database
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


def all_pages(store: Store, text: str | None = None, scope: Scope = EVERYTHING, **wanted: Any) -> list[Found]:
    """The pages of two, until the last."""
    pages = [page(store, text, scope, limit=2, **wanted)]
    while pages[-1].after is not None:
        pages.append(page(store, text, scope, limit=2, after=pages[-1].after, **wanted))
    return pages


def on(pages: list[Found]) -> list[str]:
    return [match.job_id for each in pages for match in each.matches]


def bound(monkeypatch: pytest.MonkeyPatch, few: int, most: int) -> None:
    """Have so many jobs count as few, and one page look at so many."""
    monkeypatch.setattr("synthralos.store.read.search_words.FEW", few)
    for name, value in {"FEW": few, "MOST_WALKED": most, "MOST_READ": most}.items():
        monkeypatch.setattr(f"synthralos.store.read.search_walk.{name}", value)


@pytest.mark.parametrize(("few", "many"), [(0, 10_000), (10_000, 10_000), (10_000, -1)])
@pytest.mark.parametrize("sort", list(Sort))
def test_pages_have_everything_once(
    store: Store, sort: Sort, few: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthralos.store.read.search_words.SURELY_MANY", many)
    jobs = [over(store, cost=f"0.{number % 3}") for number in range(7)]
    indexed(store)
    if sort is Sort.NEWEST:
        jobs += store.submit(new_job(), new_job())
    for most in (1, 3, 10_000):
        bound(monkeypatch, few, most)
        seen = on(all_pages(store, "hello", sort=sort))
        assert sorted(seen) == sorted(jobs)
        assert len(seen) == len(jobs)
        if sort is Sort.NEWEST:
            assert seen == sorted(jobs, reverse=True)
        if sort is Sort.COST:
            costs = [store.view(job_id)["cost"] for job_id in seen]
            assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize("sort", list(Sort))
def test_a_page_looks_at_a_bounded_number_of_jobs_and_the_next_goes_on(
    store: Store, sort: Sort, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound(monkeypatch, 0, 3)
    rare = over(store, "a rare bird", cost="0.1")
    for _ in range(8):
        over(store, "a frequent word", cost="0.5")
    indexed(store)
    for pages in (all_pages(store, "rare", sort=sort), all_pages(store, sort=sort, cost=Range(most=Decimal("0.1")))):
        assert on(pages) == [rare]
        assert [each.complete for each in pages] == [False] * (len(pages) - 1) + [True]
    pages = all_pages(store, "rare", sort=sort)
    assert len(pages) > 3
    assert not pages[0].matches


@pytest.mark.parametrize("sort", list(Sort))
def test_each_index_leads_to_the_same_jobs(store: Store, sort: Sort, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = [over(store, "a bird", tenant=OTHER, run_id="r1") for _ in range(3)]
    others = [over(store, "a bird"), over(store, "a bird")]
    over(store, "a word", tenant=OTHER, run_id="r1")
    for job_id in mine:
        FeedbackStore(store.database).add(job_id, Said("human", "good", 1.0, None), "ann")
    indexed(store)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"user": "bob"}, mine),
        ({"organization": "other"}, mine),
        ({"organization": "other", "workspace": "side"}, mine),
        ({"run_id": "r1"}, mine),
        ({"label": "good"}, mine),
        ({"score": Range(1, 1)}, mine),
        ({"created_after": datetime(2020, 1, 1, tzinfo=UTC)}, [*mine, *others]),
        ({"created_before": datetime(2020, 1, 1, tzinfo=UTC)}, []),
    ]
    for few, most in ((0, 2), (0, 10_000), (10_000, 10_000)):
        bound(monkeypatch, few, most)
        for wanted, expected in cases:
            assert sorted(on(all_pages(store, "bird", sort=sort, **wanted))) == sorted(expected), (few, most, wanted)
        assert on(all_pages(store, "bird", Scope("acme"), sort=sort, user="bob")) == []


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

    def gathered(many: int) -> bool:
        monkeypatch.setattr("synthralos.store.read.search_words.SURELY_MANY", many)
        asked.clear()
        assert len(found(store, "hello")) == 3
        return any("FROM trace_texts" in each and "EXPLAIN" not in each for each in asked)

    sa.event.listen(database.search, "before_cursor_execute", note)
    try:
        assert gathered(3)
        assert not gathered(2)
    finally:
        sa.event.remove(database.search, "before_cursor_execute", note)


def test_words_are_found_where_postgresql_would_share_the_search_among_processes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
        monkeypatch.setitem(database._SEARCHES, name, "0")
    job_id = over(store, "a rare bird")
    indexed(store)
    assert on(all_pages(store, "rare bird")) == [job_id]
