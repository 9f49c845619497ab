"""The promises, as queries: what every test of faults holds against the database and the provider's bill.

A history that triggers write makes the check independent of the code under test: every change of a job's state and of
its result, and of an attempt's outcome, whoever made it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.money import Price, Usage
from synthralos.domain.states import TERMINAL, TRANSITIONS, State
from synthralos.store.sql.database import Database
from synthralos.store.tables import all_attempts, all_jobs, event_logs, model_cost_logs, open_jobs, results

Key = tuple[str, int]
Prices = Mapping[str, tuple[str, str]]

_POSTGRESQL = """
CREATE TABLE job_states (job_id uuid PRIMARY KEY, state text, result text);
CREATE TABLE job_history (job_id uuid, was text, became text, overwritten boolean);
CREATE FUNCTION keep_job_state(job uuid, now_state text, now_result text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE before job_states; BEGIN
  SELECT * INTO before FROM job_states WHERE job_id = job;
  IF before.state <> now_state OR before.result <> now_result THEN
    INSERT INTO job_history VALUES (job, before.state, now_state, coalesce(before.result <> now_result, false));
  END IF;
  INSERT INTO job_states VALUES (job, now_state, now_result) ON CONFLICT (job_id)
    DO UPDATE SET state = now_state, result = coalesce(now_result, before.result);
END $$;
CREATE FUNCTION keep_open_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM keep_job_state(NEW.id, NEW.state, NULL); RETURN NULL; END $$;
CREATE FUNCTION keep_result() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM keep_job_state(NEW.job_id, NEW.state, NEW.result); RETURN NULL; END $$;
CREATE TRIGGER job_history AFTER INSERT OR UPDATE ON open_jobs FOR EACH ROW EXECUTE FUNCTION keep_open_job();
CREATE TRIGGER job_history AFTER INSERT OR UPDATE ON results FOR EACH ROW EXECUTE FUNCTION keep_result();
CREATE TABLE attempt_history (job_id uuid, attempt_no int, was text, became text);
CREATE FUNCTION keep_attempt_history() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO attempt_history VALUES (NEW.job_id, NEW.attempt_no, OLD.outcome, NEW.outcome);
  RETURN NULL; END $$;
CREATE TRIGGER attempt_history AFTER UPDATE ON attempts FOR EACH ROW EXECUTE FUNCTION keep_attempt_history();
"""
_KEEP_IN_SQLITE = """
  INSERT INTO job_history SELECT job_id, state, NEW.state, coalesce(result <> {result}, false) FROM job_states
    WHERE job_id = NEW.{key} AND (state <> NEW.state OR result <> {result});
  INSERT INTO job_states VALUES (NEW.{key}, NEW.state, {result}) ON CONFLICT (job_id)
    DO UPDATE SET state = excluded.state, result = coalesce(excluded.result, result);
END;
"""
_SQLITE = f"""
CREATE TABLE job_states (job_id text PRIMARY KEY, state text, result text);
CREATE TABLE job_history (job_id text, was text, became text, overwritten boolean);
CREATE TRIGGER opened AFTER INSERT ON open_jobs BEGIN {_KEEP_IN_SQLITE.format(key="id", result="NULL")}
CREATE TRIGGER moved AFTER UPDATE ON open_jobs BEGIN {_KEEP_IN_SQLITE.format(key="id", result="NULL")}
CREATE TRIGGER ended AFTER INSERT ON results BEGIN {_KEEP_IN_SQLITE.format(key="job_id", result="NEW.result")}
CREATE TRIGGER changed AFTER UPDATE ON results BEGIN {_KEEP_IN_SQLITE.format(key="job_id", result="NEW.result")}
CREATE TABLE attempt_history (job_id text, attempt_no int, was text, became text);
CREATE TRIGGER attempt_history AFTER UPDATE ON attempts BEGIN
  INSERT INTO attempt_history VALUES (NEW.job_id, NEW.attempt_no, OLD.outcome, NEW.outcome);
  END;
"""


def record_history(database: Database) -> None:
    """Have the database write down every change of a job and of an attempt."""
    with database.write.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        if database.dialect == "sqlite":
            raw.executescript(_SQLITE)
        else:
            raw.execute(_POSTGRESQL)
            raw.commit()


@contextmanager
def _one_moment(database: Database) -> Iterator[sa.Connection]:
    """Everything that is read is of one moment: late ends are booked also after all jobs are done."""
    with database.write.connect() as connection:
        if database.dialect == "postgresql":
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.rollback()  # what the pool did with the connection has begun a transaction
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        yield connection


def broken_promises(
    database: Database, accepted: Sequence[str], bill: Sequence[Mapping[str, Any]], prices: Prices
) -> list[str]:
    """Every promise that does not hold, in words. `prices`: (input, output) in USD per million tokens."""
    with _one_moment(database) as connection:
        rows = {row.id: row for row in connection.execute(sa.select(all_jobs))}
        booked = {(row.job_id, row.attempt_no): row for row in connection.execute(sa.select(all_attempts))}
        logged = {(row.job_id, row.attempt_no): row for row in connection.execute(sa.select(model_cost_logs))}
        revived = Counter(
            connection.execute(
                sa.select(event_logs.c.job_id).where(event_logs.c.kind.in_(["retry", "reroute"]))
            ).scalars()
        )
        places = Counter(
            [*connection.scalars(sa.select(open_jobs.c.id)), *connection.scalars(sa.select(results.c.job_id))]
        )
        job_history = connection.execute(sa.text("SELECT * FROM job_history")).all()
        attempt_history = connection.execute(sa.text("SELECT * FROM attempt_history")).all()
    return [
        *_jobs(rows, accepted),
        *_places(rows, places),
        *_history(job_history, revived),
        *_attempts(booked, rows, attempt_history),
        *_bill(booked, bill, prices),
        *_results(rows, booked),
        *_cost_logs(booked, logged),
    ]


def _jobs(rows: Mapping[str, Any], accepted: Sequence[str]) -> Iterator[str]:
    """Every accepted job is there, once, in exactly one terminal state; and nothing else is."""
    for job_id in {*accepted} ^ {*rows}:
        yield f"job {job_id}: accepted {job_id in accepted}, stored {job_id in rows}"
    for row in rows.values():
        if row.state not in TERMINAL or row.finished_at is None or row.worker_id is not None:
            yield f"job {row.id}: {row.state}, finished {row.finished_at}, worker {row.worker_id}"
        if (row.result is not None) != (row.state == State.SUCCEEDED):
            yield f"job {row.id}: {row.state}, but its result is {row.result}"


def _places(rows: Mapping[str, Any], places: Counter[str]) -> Iterator[str]:
    """A job is open or has its result, and never both or neither."""
    for job_id in {*rows} | {*places}:
        if places[job_id] != 1:
            yield f"job {job_id}: in {places[job_id]} of the two tables"


_STEPS = {(source, rule.target) for rule in TRANSITIONS.values() for source in rule.sources}


def _history(history: Iterable[Any], revived: Counter[str]) -> Iterator[str]:
    """Only steps of the transition table; no result was overwritten; only explicit operations revived a job."""
    for row in history:
        if row.overwritten:
            yield f"job {row.job_id}: its result was overwritten"
        if row.was != row.became and (State(row.was), State(row.became)) not in _STEPS:
            yield f"job {row.job_id}: went from {row.was} to {row.became}"
    revivals = Counter(str(row.job_id) for row in history if State(row.was) in TERMINAL and row.was != row.became)
    for job_id, times in revivals.items():
        if times > revived[job_id]:
            yield f"job {job_id}: revived {times} times, {revived[job_id]} of them recorded"


def _attempts(booked: Mapping[Key, Any], rows: Mapping[str, Any], history: Iterable[Any]) -> Iterator[str]:
    """Numbered without a gap; ended; what has ended stays, except that a lost one may be learned after all."""
    counts = Counter(job_id for job_id, _ in booked)
    for job_id, row in rows.items():
        if row.attempts != counts[job_id] or any((job_id, n + 1) not in booked for n in range(row.attempts)):
            yield f"job {job_id}: {row.attempts} attempts, {counts[job_id]} on the books"
    for key, attempt in booked.items():
        if attempt.outcome == Outcome.OPEN or attempt.ended_at is None or attempt.billed is None:
            yield f"attempt {key}: {attempt.outcome}, ended {attempt.ended_at}, billed {attempt.billed}"
    for step in history:
        if step.was not in (Outcome.OPEN, Outcome.LOST):
            yield f"attempt {step.job_id}/{step.attempt_no}: went from {step.was} to {step.became}"


def _bill(booked: Mapping[Key, Any], bill: Sequence[Mapping[str, Any]], prices: Prices) -> Iterator[str]:
    """Every call on the provider's bill has exactly one attempt, that agrees with it, and the sums agree."""
    calls = {(line["job_id"], line["attempt_no"]): line for line in bill}
    if len(calls) != len(bill):
        yield f"calls made twice under one number: {[k for k, n in Counter(map(_key, bill)).items() if n > 1]}"
    for key in {*calls} - {*booked}:
        yield f"call {key}: on the provider's bill, not on the books"
    billed = paid = Decimal(0)
    for key, attempt in booked.items():
        line = calls.get(key)
        if line is None:
            if not _never_arrived(attempt):
                yield f"attempt {key}: {attempt.outcome}, billed {attempt.billed}, but the provider saw no such call"
            continue
        charge = _charge(line, prices[attempt.deployment])
        if attempt.outcome == Outcome.SUCCEEDED:
            billed += charge
            paid += attempt.cost_picousd or Decimal(0)
        yield from _agrees(key, attempt, line, charge)
    if billed != paid:
        yield f"the provider billed {billed} USD for what succeeded; the books say {paid}"


def _agrees(key: Key, attempt: Any, line: Mapping[str, Any], charge: Decimal) -> Iterator[str]:
    known = (attempt.billed, attempt.cost_picousd, attempt.input_tokens, attempt.output_tokens)
    if attempt.outcome == Outcome.SUCCEEDED:
        if known != (Billed.YES, charge, line["input_tokens"], line["output_tokens"]):
            yield f"attempt {key}: the books say {known}, the bill {line}"
    elif line["billed"] and attempt.billed != Billed.MAYBE:
        yield f"attempt {key}: billed, but {attempt.outcome} and billed {attempt.billed} on the books"
    elif attempt.billed == Billed.MAYBE and attempt.cost_picousd is not None:
        yield f"attempt {key}: maybe billed, but its cost is said to be {attempt.cost_picousd}"


def _results(rows: Mapping[str, Any], booked: Mapping[Key, Any]) -> Iterator[str]:
    """A result is what one of the job's own successful calls brought."""
    for row in rows.values():
        if row.state == State.SUCCEEDED:
            own = [a for (job_id, _), a in booked.items() if job_id == row.id and a.outcome == Outcome.SUCCEEDED]
            answers = {str(a.provider_request_id).replace("req_chatcmpl-", "answer ") for a in own}
            if row.result["text"] not in answers:
                yield f"job {row.id}: its result {row.result['text']!r} is none of {answers}"


def _cost_logs(booked: Mapping[Key, Any], logged: Mapping[Key, Any]) -> Iterator[str]:
    """The cost log agrees with the attempts row for row."""
    for key in {*booked} ^ {*logged}:
        yield f"attempt {key}: on the books {key in booked}, in the cost log {key in logged}"
    for key in {*booked} & {*logged}:
        columns = ("deployment", "billed", "input_tokens", "cached_tokens", "output_tokens", "cost_picousd")
        ours, theirs = ([getattr(row, column) for column in columns] for row in (booked[key], logged[key]))
        if ours != theirs:
            yield f"attempt {key}: the books say {ours}, the cost log {theirs}"
        if booked[key].cost_picousd and logged[key].price is None:
            yield f"attempt {key}: the cost log does not say which price was paid"


def _never_arrived(attempt: Any) -> bool:
    if attempt.outcome == Outcome.FAILED and attempt.billed == Billed.NO:
        return True
    return attempt.outcome in (Outcome.LOST, Outcome.CANCELLED, Outcome.FAILED) and attempt.billed == Billed.MAYBE


def _charge(line: Mapping[str, Any], price: tuple[str, str]) -> Decimal:
    rate = Price(Decimal(price[0]), Decimal(price[1]))
    return rate.cost(Usage(line["input_tokens"], line["output_tokens"]))


def _key(line: Mapping[str, Any]) -> Key:
    return line["job_id"], line["attempt_no"]
