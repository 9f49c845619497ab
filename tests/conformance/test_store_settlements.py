"""What a settlement promises: the job moves once, under a claim that holds; the books are right in any case."""

from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.deployments import Deployment
from synthralos.domain.events import Event
from synthralos.domain.findings import Decision, Finding, Verdict
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.money import Price, PriceUsed, Rates
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.spans import Span
from synthralos.domain.states import TERMINAL, TRANSITIONS, Stage, State, Transition
from synthralos.domain.writes import Settlement, Written
from synthralos.store.exports.closing import Analysis
from synthralos.store.sql.database import Database
from tests.fakes.jobs import PRICE, USAGE, attempt_end, deployment, failure, plan, settlement, start
from tests.fakes.stores import Store

WORKERS_OWN = [t for t, rule in TRANSITIONS.items() if rule.fenced and t is not Transition.START]
WORKERS_OWN += [Transition.CANCEL, Transition.EXPIRE]
NOT_A_WORKERS = [t for t, rule in TRANSITIONS.items() if State.ACTIVE not in rule.sources]
ENDS = [t for t in WORKERS_OWN if TRANSITIONS[t].target in TERMINAL]


def decorated(store: Store, ending: Settlement) -> Settlement:
    """The settlement with a span and an event, to see whether they are written."""
    now = store.now()
    return replace(ending, spans=[Span("execute", now, now)], events=[Event("noted", "worker")])


def called(store: Store, target: Deployment) -> Job:
    """A job whose first attempt began at that deployment."""
    job = store.claimed()
    assert store.settlements.start([replace(start(job), deployment=target)]) == [Written.DONE]
    return job


def untouched(store: Store, job_id: str) -> tuple[Any, ...]:
    """Everything of a job but its books."""
    return store.job(job_id), store.spans(job_id), store.events(job_id)


@pytest.mark.parametrize("transition", WORKERS_OWN)
def test_each_of_a_workers_transitions_leads_where_the_table_says(store: Store, transition: Transition) -> None:
    job = store.started()
    assert store.settle(settlement(job, transition, stage=Stage.HEAL, attempt=attempt_end(1)))
    row = store.job(job.id)
    state = TRANSITIONS[transition].target
    assert (row["state"], row["stage"]) == (state, "analyze" if state in TERMINAL else "heal")
    assert (row["finished_at"] is not None) == (state in TERMINAL)
    assert (row["run_at"] is not None) == (state is State.PARKED)
    assert row["worker_id"] == (job.claim.worker_id if state is State.ACTIVE else None)
    assert row["claim_no"] == job.claim.claim_no


@pytest.mark.parametrize("transition", NOT_A_WORKERS)
def test_what_is_not_a_workers_transition_is_refused(store: Store, transition: Transition) -> None:
    job = store.claimed()
    with pytest.raises(ValueError, match=transition):
        store.settle(settlement(job, transition, stage=Stage.GUARD))
    assert store.state(job.id) == "active"


def test_a_success_keeps_the_result_and_forgets_the_failure_before(store: Store) -> None:
    job = store.started()
    store.settle(settlement(job, Transition.CONTINUE, attempt=attempt_end(1), failure=failure().to_json()))
    assert store.job(job.id)["failure"] == failure().to_json()
    result = {"text": 'שלום 🧪 "quoted" back\\slash \\u0041 %s', "tool_calls": [{"a": {}}], "usage": {"input": 1}}
    assert store.settle(settlement(job, result=result))
    row = store.view(job.id)
    assert (row["state"], row["result"], row["failure"]) == ("succeeded", result, None)


def test_what_a_settlement_does_not_name_stays(store: Store) -> None:
    job = store.started()
    verdict = Verdict(Decision.FLAG, (Finding("size", Decision.FLAG, "large", signals={"n": 1}),))
    wanted = Constraints("eu").to_json()
    store.settle(
        settlement(
            job, Transition.CONTINUE, stage=Stage.ROUTE, verdict=verdict, plan=plan("a/b@eu", "c/d@us", cursor=1),
            constraints=wanted, failure=failure().to_json(),
        )
    )  # fmt: skip
    store.settle(settlement(job, Transition.HAND_OVER))
    row = store.view(job.id)
    assert row["verdict"] == verdict.to_json()
    assert RoutingPlan.from_json(row["plan"]) == plan("a/b@eu", "c/d@us", cursor=1)
    assert row["constraints"] == wanted
    assert row["failure"] == failure().to_json()


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_a_result_is_not_lost_over_characters_that_no_database_takes(store: Store, text: str) -> None:
    job = store.started()
    end = replace(attempt_end(1), provider_model=text, provider_request_id=text)
    assert store.settle(settlement(job, result={"text": text, "n": [text]}, attempt=end))
    assert store.view(job.id)["result"] == {"text": "a\N{REPLACEMENT CHARACTER}b", "n": ["a\N{REPLACEMENT CHARACTER}b"]}


def test_the_text_of_an_escape_is_only_text(store: Store) -> None:
    job = store.claimed()
    text = "in JSON, \\u0000 is NUL and \\ud800 half a pair"
    store.settle(settlement(job, result={"text": text}))
    assert store.view(job.id)["result"] == {"text": text}


def test_parking_lasts_as_long_as_was_asked_by_the_databases_clock(store: Store) -> None:
    job = store.claimed()
    before = store.now()
    store.settle(settlement(job, Transition.PARK, delay=90.5))
    waits = store.job(job.id)["run_at"] - before
    assert timedelta(seconds=90.4) < waits < timedelta(seconds=120)


def test_a_job_that_is_handed_over_waits_from_now_on(store: Store) -> None:
    job = store.claimed()
    store.backdate(job.id, notified_at=60)
    before = store.now()
    store.settle(settlement(job, Transition.HAND_OVER))
    assert store.job(job.id)["notified_at"] >= before - timedelta(milliseconds=2)


def test_a_release_gives_the_job_back_uncounted(store: Store) -> None:
    job = store.claimed()
    store.settle(settlement(job, Transition.RELEASE))
    row = store.job(job.id)
    assert (row["state"], row["stage"], row["attempts"], row["losses"]) == ("queued", "guard", 0, 0)


def test_the_end_of_an_attempt_is_booked_exactly(store: Store) -> None:
    job = store.started()
    exact = Decimal("1234567.000000000001")
    assert store.settle(settlement(job, attempt=attempt_end(1, cost=exact)))
    [attempt] = store.attempts(job.id)
    assert (attempt["outcome"], attempt["billed"], attempt["late"]) == ("succeeded", "yes", False)
    assert (attempt["cost_picousd"], attempt["seconds"]) == (exact, 1.5)
    assert (attempt["provider_model"], attempt["provider_request_id"]) == ("small-2026", "request-1")
    assert attempt["started_at"] <= attempt["ended_at"]
    [line] = store.cost_logs(job.id)
    assert (line["organization"], line["workspace"], line["user_id"]) == ("acme", "main", "ann")
    assert (line["trace_id"], line["deployment"], line["model"]) == (job.trace_id, deployment().id, "small-2026")
    assert (line["billed"], line["cost_picousd"]) == ("yes", exact)
    assert line["price"]["input"] == str(PRICE.input)
    assert line["price"]["as_of"] == PRICE.as_of
    for row in (attempt, line):
        tokens = [row[f"{kind}_tokens"] for kind in ("input", "cached", "output", "reasoning")]
        assert tokens == [USAGE.input, USAGE.cached, USAGE.output, USAGE.reasoning]


@pytest.mark.parametrize("amount", ["0", "0.000000000001", "0.1", "9000000.999999999999", "0.30000000000000004"])
def test_money_is_exact_to_a_millionth_of_a_millionth(store: Store, amount: str) -> None:
    job = store.started()
    store.settle(settlement(job, attempt=attempt_end(1, cost=Decimal(amount))))
    stored = Decimal(amount).quantize(Decimal("1e-12"))
    assert store.attempts(job.id)[0]["cost_picousd"] == store.cost_logs(job.id)[0]["cost_picousd"] == stored


def test_an_attempt_has_the_service_tier_and_the_price_that_it_was_counted_with(store: Store) -> None:
    used = PriceUsed(Rates(Decimal("0.05"), Decimal("0.1"), cache_write_1h=Decimal("2")), "2026-01-01", "2026-12-01")
    usual, flex = store.started(), store.started()
    store.settle(settlement(usual, attempt=attempt_end(1)))
    usage = replace(USAGE, cache_write=7, cache_write_1h=5)
    store.settle(settlement(flex, attempt=replace(attempt_end(1), usage=usage, service_tier="flex", price=used)))
    [plain], [dear] = store.cost_logs(usual.id), store.cost_logs(flex.id)
    assert (plain["service_tier"], plain["cache_write_1h_tokens"]) == ("standard", 0)
    assert plain["price"]["input"] == str(PRICE.input)
    assert (dear["service_tier"], dear["cache_write_1h_tokens"], dear["price"]) == ("flex", 5, used.to_json())
    [attempt] = store.attempts(flex.id)
    assert (attempt["service_tier"], attempt["cache_write_tokens"], attempt["cache_write_1h_tokens"]) == ("flex", 7, 5)


def test_an_unknown_price_and_cost_stay_unknown(store: Store) -> None:
    job = called(store, deployment(price=None))
    assert store.settle(settlement(job, attempt=attempt_end(1, cost=None, usage=None)))
    [line] = store.cost_logs(job.id)
    assert (line["price"], line["cost_picousd"], line["input_tokens"]) == (None, None, None)


def test_a_price_is_kept_with_all_its_parts(store: Store) -> None:
    job = called(store, deployment(price=Price(Decimal("0.1"), Decimal("100.25"), None, "2026-02-03")))
    store.settle(settlement(job, attempt=attempt_end(1)))
    kept = store.cost_logs(job.id)[0]["price"]
    assert (kept["input"], kept["output"], kept["cached"], kept["as_of"]) == ("0.1", "100.25", None, "2026-02-03")


@pytest.mark.parametrize("transition", WORKERS_OWN)
def test_repeating_a_settlement_whose_commit_was_in_doubt_changes_nothing(store: Store, transition: Transition) -> None:
    job = store.started()
    ending = decorated(store, settlement(job, transition, stage=Stage.HEAL, attempt=attempt_end(1)))
    store.settle(ending)
    row, *rest = untouched(store, job.id)
    books = store.attempts(job.id), store.cost_logs(job.id)
    store.settle(ending)
    row_after, *rest_after = untouched(store, job.id)
    assert (row_after, rest_after) == (row, rest)
    assert (store.attempts(job.id), store.cost_logs(job.id)) == books


def test_an_attempt_that_is_settled_twice_keeps_its_first_end(store: Store) -> None:
    job = store.started()
    maybe = attempt_end(1, Outcome.FAILED, billed=Billed.MAYBE, usage=None, cost=None)
    store.settle(settlement(job, Transition.CONTINUE, attempt=maybe))
    books = store.attempts(job.id), store.cost_logs(job.id)
    store.settle(settlement(job, attempt=attempt_end(1)))
    assert (store.attempts(job.id), store.cost_logs(job.id)) == books


@pytest.mark.parametrize("taken_by", ["sweeper", "cancel", "reroute", "next claim"])
def test_a_zombies_late_write_changes_only_the_ledger(store: Store, taken_by: str) -> None:
    zombie = store.started()
    take(store, zombie, taken_by)
    before = untouched(store, zombie.id)
    assert not store.settle(decorated(store, settlement(zombie, attempt=attempt_end(1))))
    assert untouched(store, zombie.id) == before
    [attempt] = store.attempts(zombie.id)
    assert (attempt["outcome"], attempt["billed"]) == ("succeeded", "yes")
    assert attempt["late"]
    [line] = store.cost_logs(zombie.id)
    assert (line["billed"], line["cost_picousd"], line["input_tokens"]) == ("yes", Decimal("0.0004425"), 1000)


def take(store: Store, job: Job, by: str) -> None:
    """Take a job from its worker."""
    if by == "cancel":
        store.operations.cancel(job.id, EVERYTHING, "ann")
    elif by == "reroute":
        store.operations.reroute(job.id, EVERYTHING, "ann", {})
    else:
        store.lose(job.claim.worker_id)
        store.sweeps.rescue()
    if by == "next claim":
        store.claim([job.id], stage=Stage.EXECUTE)


def test_a_late_result_corrects_a_lost_attempt_once(store: Store) -> None:
    zombie = store.started()
    take(store, zombie, "sweeper")
    store.settle(settlement(zombie, attempt=attempt_end(1)))
    books = store.attempts(zombie.id), store.cost_logs(zombie.id)
    store.settle(settlement(zombie, attempt=attempt_end(1, cost=Decimal(9))))
    assert (store.attempts(zombie.id), store.cost_logs(zombie.id)) == books


def test_in_one_batch_an_old_claim_does_not_hide_behind_the_new_one(store: Store) -> None:
    worker = store.worker()
    old = store.started(worker=worker)
    store.operations.reroute(old.id, EVERYTHING, "ann", {})
    [new] = store.claim([old.id], worker, Stage.ROUTE)
    store.settlements.start([start(new)])
    stale = settlement(old, attempt=attempt_end(1), result={"text": "old"})
    good = settlement(new, attempt=attempt_end(2), result={"text": "new"})
    noted = [replace(s, events=[Event(name)]) for s, name in ((stale, "stale"), (good, "good"))]
    assert store.settlements.settle(noted) == [Written.CLAIM_LOST, Written.DONE]
    assert store.view(old.id)["result"] == {"text": "new"}
    assert [event["kind"] for event in store.events(old.id)] == ["reroute", "good"]
    assert [attempt["outcome"] for attempt in store.attempts(old.id)] == ["succeeded", "succeeded"]
    assert len(store.cost_logs(old.id)) == 2


@pytest.mark.parametrize("transition", ENDS)
def test_a_finished_job_is_never_settled_again(store: Store, transition: Transition) -> None:
    job = store.started()
    store.settle(settlement(job, transition, attempt=attempt_end(1)))
    before = untouched(store, job.id)
    for again in WORKERS_OWN:
        assert not store.settle(decorated(store, settlement(job, again, stage=Stage.HEAL, result={"text": "other"})))
    assert untouched(store, job.id) == before


def test_a_batch_settles_what_it_can_and_says_which(store: Store) -> None:
    won, lost = store.started(), store.started()
    take(store, lost, "cancel")
    endings = [decorated(store, settlement(job, attempt=attempt_end(1))) for job in (lost, won)]
    assert store.settlements.settle(endings) == [Written.CLAIM_LOST, Written.DONE]
    assert (store.state(lost.id), store.state(won.id)) == ("cancelled", "succeeded")
    assert [len(store.spans(job.id)) for job in (lost, won)] == [0, 1]


def test_an_event_is_at_the_databases_time_and_names_its_actor(store: Store) -> None:
    job = store.claimed()
    store.settle(replace(settlement(job, Transition.CONTINUE), events=[Event("healed", "heal", {"remedy": "wait 🕰"})]))
    [event] = store.events(job.id)
    assert (event["kind"], event["actor"], event["data"]) == ("healed", "heal", {"remedy": "wait 🕰"})
    assert (event["organization"], event["job_id"]) == ("acme", job.id)
    assert abs(event["at"] - store.now()) < timedelta(seconds=30)


def test_an_analyzed_job_is_owed_to_every_destination(database: Database) -> None:
    store = Store(database, ["file", "langfuse"])
    job, open_trace = store.claimed(), store.claimed()
    store.settle(settlement(job, analyzed=True))
    store.settle(settlement(open_trace))
    analysis = Analysis(database)
    assert store.owed("file") == store.owed("langfuse") == [job.id]
    assert store.job(job.id)["analyzed_at"] is not None
    assert analysis.open_traces([job.id, open_trace.id]) == [open_trace.id]


def test_nothing_to_settle_is_nothing(store: Store) -> None:
    assert store.settlements.settle([]) == store.settlements.start([]) == []


def test_the_times_of_a_span_come_back_as_they_were(store: Store) -> None:
    job = store.claimed()
    began = store.now().astimezone(UTC).replace(microsecond=123456)
    ended = began + timedelta(microseconds=1)
    span = Span("guard", began, ended, "error", {"why": '🧨 "quoted" \\ עברית'})
    store.settle(settlement(job, spans=[span]))
    [row] = store.spans(job.id)
    assert (row["started_at"], row["ended_at"]) == (began, ended)
    assert (row["job_id"], row["status"], row["attributes"]) == (job.id, "error", span.attributes)


def test_every_span_of_a_job_has_its_times_and_an_id_that_stays(store: Store) -> None:
    job = store.claimed()
    began = store.now().astimezone(UTC)
    times = [began + timedelta(milliseconds=number) for number in (0, 1, 5, 6, 9, 9)]
    guard, route, late, heal = (Span("stage", times[i], times[j]) for i, j in ((0, 1), (1, 2), (3, 4), (4, 5)))
    store.settle(settlement(job, Transition.CONTINUE, spans=[guard, route]))
    before = store.spans(job.id)
    store.settle(settlement(job, spans=[late, heal]))
    after = store.spans(job.id)
    assert [(row["started_at"], row["ended_at"]) for row in after] == [
        (span.started_at, span.ended_at) for span in (guard, route, late, heal)
    ]
    assert after[:2] == before
    assert len({row["span_id"] for row in after}) == len(after)
