"""Provider keys on real workers: a dead one is passed over, a replaced one is used, and none is ever written."""

import io
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import orjson
import pytest
import sqlalchemy as sa

from pipelines.providers.http_provider import HttpProvider
from synthralos.domain.breakers import BreakerState, credential_breaker
from synthralos.domain.jobs import Constraints
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State
from synthralos.logs import FRANK
from synthralos.store.admin.breakers import BreakerStore
from synthralos.telemetry.logs import set_up_logging
from synthralos_client import Client
from tests.fakes.commands import Command, in_process
from tests.fakes.scripted_server import scripted_server
from tests.fakes.stores import Store
from tests.integration.api_place import api_over
from tests.integration.credentials_place import (
    CANARIES,
    DEAD,
    FIRST,
    FRESH,
    GOOD,
    JOBS,
    Provider,
    kept_core,
    short,
    turning_to_the_dead_key,
)
from tests.integration.worker_place import WorkerPlace, worker_place


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def provider() -> Iterator[Provider]:
    with scripted_server() as server:
        provider = Provider(server)
        yield provider
        provider.goes_on.set()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "fake").write_text(DEAD)
    (tmp_path / "secrets" / "fake.2").write_text(GOOD)
    return tmp_path / "secrets"


@contextmanager
def logging_of(process: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged in the body, as a process of ours logs it."""
    written, root = io.StringIO(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", written)
        set_up_logging(process, "DEBUG", "json", frank=FRANK)
        try:
            yield written
        finally:
            for handler in [each for each in root.handlers if each not in handlers]:
                root.removeHandler(handler)
            root.setLevel(level)


def test_a_job_goes_on_with_the_next_key_at_once_and_the_dead_one_is_taken_out(
    place: WorkerPlace, provider: Provider, secrets: Path
) -> None:
    place.start(kept_core(place, provider, secrets))
    jobs = [turning_to_the_dead_key(constraints=Constraints(max_attempts=1)) for _ in range(JOBS)]
    job_ids = place.submit(*jobs)
    assert set(place.finished(*job_ids)) == {State.SUCCEEDED}
    attempts = [row for job_id in job_ids for row in place.store.attempts(job_id)]
    by_key = Counter((row["credential"], row["outcome"]) for row in attempts)
    assert by_key["fake.2", "succeeded"] == JOBS
    assert by_key["fake", "failed"] == provider.sent()[DEAD] >= 1
    assert {row["billed"] for row in attempts if row["credential"] == "fake"} == {"no"}
    breakers = BreakerStore(place.store.database)
    place.heard.until(lambda: breakers.get(credential_breaker("fake")) is not None)
    assert breakers.get(FIRST) is None
    dead = provider.sent()[DEAD]
    assert place.run(short())["state"] == State.SUCCEEDED
    assert provider.sent()[DEAD] == dead


def test_a_replaced_key_is_used_without_a_restart_and_its_breaker_closes(
    place: WorkerPlace, provider: Provider, secrets: Path
) -> None:
    (secrets / "fake.2").unlink()
    core = kept_core(place, provider, secrets)
    breakers = BreakerStore(place.store.database)
    breakers.broken(credential_breaker("fake"), "401", "worker")
    place.start(core)
    [job_id] = place.submit(short())
    place.reaches(job_id, State.PARKED)
    (secrets / "next").write_text(FRESH)
    provider.taken = {FRESH}
    (secrets / "next").replace(secrets / "fake")

    def closed() -> bool:
        found = breakers.get(credential_breaker("fake"))
        return found is not None and found.state is BreakerState.CLOSED

    place.heard.until(closed)

    def done() -> bool:
        if place.store.state(job_id) == State.PARKED:
            place.wake(job_id)
        return place.store.state(job_id) == State.SUCCEEDED

    place.heard.until(done)
    assert provider.sent() == {FRESH: 1}
    assert breakers.changes(credential_breaker("fake"), 1)[0].reason == "the key was replaced"


def test_a_job_whose_every_key_is_refused_fails_and_says_why(
    place: WorkerPlace, provider: Provider, secrets: Path
) -> None:
    provider.taken = set()
    place.start(kept_core(place, provider, secrets))
    job = place.run(short())
    assert (job["state"], job["failure"]["class"]) == (State.FAILED, "credential")
    assert sorted(row["credential"] for row in place.store.attempts(job["id"])) == ["fake", "fake.2"]


def test_a_file_that_becomes_wrong_leaves_the_last_keys_in_force(
    place: WorkerPlace, provider: Provider, secrets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live = kept_core(place, provider, secrets).live
    (secrets / "fake.2").write_text(f"{GOOD} \n {FRESH}")
    live.read()
    key = live.current.credentials.key("fake.2")
    assert key is not None
    assert key.value.get_secret_value() == GOOD
    assert "fake.2" in caplog.text
    assert not any(canary in caplog.text for canary in CANARIES)
    (secrets / "fake.2").write_text(FRESH)
    live.read()
    key = live.current.credentials.key("fake.2")
    assert key is not None
    assert key.value.get_secret_value() == FRESH


def test_no_key_is_ever_written_or_told(
    place: WorkerPlace,
    provider: Provider,
    secrets: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with logging_of("worker", monkeypatch) as logged:
        everything = written_and_told(place, provider, secrets, in_process(monkeypatch, capsys), monkeypatch)
        everything += logged.getvalue()
    assert "a key by mistake" in everything
    assert "fake.2" in everything
    assert set(provider.sent()) == {DEAD, GOOD}
    assert [canary for canary in CANARIES if canary in everything] == []
    assert [canary[-6:] for canary in CANARIES if canary[-6:] in everything] == []


def written_and_told(
    place: WorkerPlace, provider: Provider, secrets: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What is in the database, and what API, client, commands and metrics say, after all kinds of calls."""
    core = kept_core(place, provider, secrets)
    core.live.read()
    worker = place.start(core)
    once, stream = Constraints(max_attempts=1), Constraints(stream=True, max_attempts=1)
    outcomes = [turning_to_the_dead_key(prompt, constraints=once) for prompt in ("Hi", "fail", "drop")]
    outcomes.append(short("Hi", constraints=stream))
    slow = short(model="fake/slow", constraints=once)
    ends = place.finished(*place.submit(*outcomes, slow, *(short() for _ in range(3))))
    provider.taken, provider.status = set(), 403
    place.finished(*place.submit(short(), short(constraints=stream)))
    breakers = BreakerStore(place.store.database)
    place.heard.until(lambda: breakers.get(credential_breaker("fake")) is not None)
    with api_over(core) as api:
        root = api.client(Role.OPERATOR, EVERYTHING)
        paths = ["credentials", "breakers", "breaker-changes", "deployments", "jobs", "observability/traces", "audit"]
        told = [root.get(f"/api/v1/{path}") for path in paths]
        told.append(httpx.get(f"{api.url}/metrics"))
        told += [root.get(f"/api/v1/jobs/{row['id']}/evidence") for row in told[4].json()["jobs"]]
        assert {answer.status_code for answer in told} <= {200, 401, 403}
        states = {each["name"]: each["state"] for each in told[0].json()["credentials"]}
        assert states == {"fake": "refused", "fake.2": "alive"}
        assert api.client(Role.OPERATOR).get("/api/v1/credentials").status_code == 403
        with Client(api.url, api.key(Role.OPERATOR, EVERYTHING)) as client:
            assert {each["name"] for each in client.healing.credentials()} == {"fake", "fake.2"}
    environ = {
        "CATALOG_FILE": str(core.settings.catalog_file),
        "SECRETS_DIR": str(secrets),
        "DATABASE_URL": core.settings.database_url,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    commands = [command(*words) for words in (["doctor"], ["credentials", "list"], ["models"], ["breakers", "list"])]
    assert "refused" in commands[1].out
    (secrets / "fake").write_text(f"{FRESH}\n")
    core.live.read()
    logging.getLogger("test").error("a key by mistake: %s %s", GOOD, FRESH)
    provider_of_calls = worker.runtime._execute._providers["openai"]
    assert isinstance(provider_of_calls, HttpProvider)
    endpoints = provider_of_calls._endpoints
    assert len(endpoints) >= 2
    place.stop(worker)
    told_all = "".join(
        (
            *(answer.text for answer in told),
            *(f"{each.out}{each.err}" for each in commands),
            core.metrics.render()[0].decode(),
            repr(core.live.current),
            repr(core.live.current.credentials.keys),
            repr(core.settings),
            repr(endpoints),
            repr(vars(core.live.current.credentials)),
            *_dumped(place.store),
        )
    )
    assert {State.SUCCEEDED, State.FAILED} <= {State(state) for state in ends}
    return told_all


def _dumped(store: Store) -> Iterator[str]:
    """Every row of every table."""
    with store.database.snapshot() as connection:
        names = sa.inspect(connection).get_table_names()
        assert {"attempts", "event_logs", "breaker_changes", "catalog_entries"} <= set(names)
        for name in names:
            rows = connection.execute(sa.text(f'SELECT * FROM "{name}"')).all()
            yield orjson.dumps([[str(value) for value in row] for row in rows]).decode()
