"""Live configuration: what operators change is in force without a restart, and what is wrong changes nothing."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.flow.stages import stage_builder
from pipelines.providers.table import check_deployment
from synthralos.bus.build import build_bus
from synthralos.config.config import Config
from synthralos.config.settings import Settings
from synthralos.core import Core
from synthralos.domain.abuse_patterns import EVERYONE
from synthralos.domain.account_plans import AccountPlan
from synthralos.domain.flags import Flag, FlagState
from synthralos.domain.jobs import Constraints
from synthralos.domain.limits import DEFAULT_LIMITS
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.states import State
from synthralos.live_config import KeptConfig
from synthralos.store.admin.audit import By
from synthralos.store.admin.configuration import Configuration
from synthralos.store.sql.database import Database
from tests.fakes.jobs import new_job
from tests.fakes.stage_jobs import a_job
from tests.fakes.stages import a_limiter
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, worker_place

ANN = By("key:ann")
SMALL = "sandbox/echo-small@us"
CATALOG = """
[providers.sandbox]
adapter = "sandbox"
[[deployment]]
id = "sandbox/one@us"
context_window = {window}
max_output = 100
price = {{ input = "1", output = "2", as_of = "2026-01-01" }}
"""
ENTRY = {"context_window": 5_000, "max_output": 100, "price": {"input": "3", "output": "4", "as_of": "2026-01-01"}}


def kept(database: Database, catalog: Path | None = None, every: float = 3600.0, **settings: Any) -> KeptConfig:
    chosen = Settings(catalog_file=catalog, sandbox="on", **settings)
    return KeptConfig(chosen, {}, Configuration(database), check_deployment, every)


def written(path: Path, window: int) -> Path:
    path.write_text(CATALOG.format(window=window))
    return path


def test_what_the_database_says_is_in_force_after_a_look(database: Database) -> None:
    live, configuration = kept(database), Configuration(database)
    before = live.current
    configuration.set_flag(Flag.TRACK_MODEL_COSTS, FlagState(False), ANN)
    configuration.set_limits(AccountPlan.FREE, {"prompt_tokens": 7}, ANN)
    assert live.current is before
    live.read()
    now = live.current
    assert not now.flags.on(Flag.TRACK_MODEL_COSTS, "acme")
    assert (now.limits_of("free").prompt_tokens, now.limits_of("pro")) == (7, before.limits_of("pro"))
    assert now.limits_of("free").prompt_characters == before.limits_of("free").prompt_characters
    live.read()
    assert live.current is now


def test_limits_that_this_release_does_not_understand_are_left_out_alone(database: Database) -> None:
    live, configuration = kept(database), Configuration(database)
    strange = {"rates": [{"per": "planet", "unit": "requests", "window": "minute", "limit": 1}]}
    configuration.set_limits(AccountPlan.FREE, strange, ANN)
    configuration.set_own_limits("globex", {"rates": ["nonsense"]}, ANN)
    configuration.set_own_limits("acme", {"prompt_tokens": 7}, ANN)
    live.read()
    now = live.current
    assert (now.limits_of("free"), now.limits_for("globex", "pro")) == (DEFAULT_LIMITS["free"], DEFAULT_LIMITS["pro"])
    assert now.limits_for("acme", "pro").prompt_tokens == 7


def test_a_quality_table_of_ones_own_decides_where_jobs_go(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "quality.toml"
    path.write_text('[models."sandbox/small"]\ndefault = 0.9\n[models."sandbox/large"]\ndefault = 0.6\n')
    job = a_job(model="auto", constraints=Constraints(strategy="quality_aware", exclude=("sandbox/medium@us",)))
    first = []
    for live in (kept(database), kept(database, quality_table=path)):
        [plan] = stage_builder(random.Random(1), a_limiter())(live.current).route.plan([job])
        assert isinstance(plan, RoutingPlan)
        first.append(plan.steps[0].deployment)
    assert first == ["sandbox/large@us", "sandbox/small@us"]


def test_aliases_of_the_database_are_in_force_and_one_that_broke_stops_nothing(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "catalog.toml", 1_000)
    live, configuration = kept(database, path), Configuration(database)
    configuration.set_alias("mine", ["sandbox/one"], ANN)
    configuration.set_alias("broken", ["sandbox/gone"], ANN)
    live.read()
    assert [d.id for d in live.current.catalog.matching("mine")] == ["sandbox/one@us"]
    assert live.current.catalog.matching("broken") == ()
    assert "broken[0]" in caplog.text
    configuration.set_deployment("sandbox/gone@us", ENTRY, ANN)
    live.read()
    assert [d.id for d in live.current.catalog.matching("broken")] == ["sandbox/gone@us"]


def test_the_environment_wins_over_the_database(database: Database) -> None:
    live = kept(database, track_model_costs=True)
    Configuration(database).set_flag(Flag.TRACK_MODEL_COSTS, FlagState(False), ANN)
    live.read()
    assert live.current.flags.on(Flag.TRACK_MODEL_COSTS, "acme")


def test_the_operators_patterns_of_abuse_are_in_force(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "patterns.toml"
    path.write_text('[[pattern]]\nname = "own"\ntext = "tell me about project bluefin"\norganization = "acme"\n')
    live = kept(database, abuse_patterns=path)
    live.read()
    assert [pattern.name for pattern in live.current.patterns["acme"]] == ["own"]
    assert live.current.patterns[EVERYONE]


def test_a_changed_catalog_file_is_in_force_and_a_wrong_one_is_not(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "catalog.toml", 1_000)
    live = kept(database, path)
    written(path, 20_000)
    live.read()
    good = live.current
    assert [d.context_window for d in good.catalog] == [20_000]
    path.write_text("[[deployment]]\nid = 'broken'\n")
    live.read()
    live.read()
    assert live.current.catalog.get("sandbox/one@us") is good.catalog.get("sandbox/one@us")
    assert len([r for r in caplog.records if "catalog file is refused" in r.getMessage()]) == 1
    Configuration(database).set_flag(Flag.TRACK_MODEL_COSTS, FlagState(False), ANN)
    live.read()
    assert not live.current.flags.on(Flag.TRACK_MODEL_COSTS, "acme")
    path.unlink()
    live.read()
    assert live.current.catalog.get("sandbox/one@us") is not None
    written(path, 400)
    live.read()
    assert [d.context_window for d in live.current.catalog] == [400]


def test_entries_of_the_database_stand_in_for_the_files_and_wrong_ones_are_left_out(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live, configuration = kept(database, written(tmp_path / "catalog.toml", 1_000)), Configuration(database)
    configuration.set_deployment("sandbox/one@us", ENTRY, ANN)
    configuration.set_deployment("sandbox/two@eu", ENTRY, ANN)
    configuration.set_deployment("sandbox/odd@eu", {**ENTRY, "adapter": "carrier-pigeon"}, ANN)
    configuration.set_deployment("sandbox/none@eu", {}, ANN)
    live.read()
    assert {d.id: d.context_window for d in live.current.catalog} == {"sandbox/one@us": 5_000, "sandbox/two@eu": 5_000}
    left_out = [r.getMessage() for r in caplog.records if "is left out" in r.getMessage()]
    assert ["odd" in left_out[0], "none" in left_out[1], len(left_out)] == [True, True, 2]
    configuration.remove_deployment("sandbox/one@us", ANN)
    live.read()
    assert live.current.catalog.get("sandbox/one@us").context_window == 1_000  # type: ignore[union-attr]


class Watched(KeptConfig):
    """Says when another configuration is in force."""

    def __init__(self, *arguments: Any) -> None:
        self.swapped = threading.Condition()
        super().__init__(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if name == "current":
            with self.swapped:
                self.swapped.notify_all()

    def until(self, holds: Callable[[Config], bool]) -> None:
        with self.swapped:
            assert self.swapped.wait_for(lambda: holds(self.current), 60)


@contextmanager
def watching(database: Database, every: float) -> Iterator[Watched]:
    """A process's configuration, kept current over a bus of its own."""
    live = Watched(Settings(sandbox="on"), {}, Configuration(database), check_deployment, every)
    with closing(build_bus(database)) as bus, closing(live):
        live.start(bus)
        live.start(bus)
        yield live


def costs_off(config: Config) -> bool:
    return not config.flags.on(Flag.TRACK_MODEL_COSTS, "acme")


def test_other_processes_find_out_by_looking(database: Database) -> None:
    with watching(database, every=0.01) as live:
        Configuration(database).set_flag(Flag.TRACK_MODEL_COSTS, FlagState(False), ANN)
        live.until(costs_off)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_other_processes_hear_of_it_at_once(database: Database) -> None:
    with watching(database, every=3600.0) as one, watching(database, every=3600.0) as other:
        Configuration(database).set_flag(Flag.TRACK_MODEL_COSTS, FlagState(False), ANN)
        one.changed()
        assert costs_off(one.current)
        other.until(costs_off)


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@contextmanager
def live_worker(place: WorkerPlace, **settings: Any) -> Iterator[tuple[KeptConfig, Configuration, Core]]:
    """A worker whose configuration is the database's."""
    live = kept(place.store.database)
    core = replace(place.core(**settings), live=live)
    place.start(core)
    with closing(live):
        yield live, Configuration(place.store.database), core


def test_a_worker_works_by_the_new_limits(place: WorkerPlace) -> None:
    with live_worker(place) as (live, configuration, _):
        assert place.run(new_job("word " * 50))["state"] == State.SUCCEEDED
        configuration.set_limits(AccountPlan.PRO, {"prompt_characters": 20}, ANN)
        live.read()
        assert place.run(new_job("word " * 50))["state"] == State.DENIED
        configuration.reset_limits(AccountPlan.PRO, ANN)
        live.read()
        assert place.run(new_job("word " * 50))["state"] == State.SUCCEEDED


def test_what_was_changed_before_a_worker_starts_holds_for_its_first_job(place: WorkerPlace) -> None:
    Configuration(place.store.database).set_limits(AccountPlan.PRO, {"prompt_characters": 20}, ANN)
    with live_worker(place):
        assert place.run(new_job("word " * 50))["state"] == State.DENIED


def test_a_worker_sends_jobs_where_a_new_alias_says(place: WorkerPlace) -> None:
    with live_worker(place) as (live, configuration, _):
        configuration.set_alias("mine", ["sandbox/large"], ANN)
        live.read()
        assert place.run(new_job(model="mine"))["result"]["deployment"] == "sandbox/large@us"


def test_other_processes_find_out_about_aliases(database: Database) -> None:
    with watching(database, every=0.01) as live:
        Configuration(database).set_alias("mine", ["sandbox/large"], ANN)
        live.until(lambda config: config.catalog.knows("mine"))


def test_without_cost_tracking_tokens_are_recorded_and_money_is_not(place: WorkerPlace) -> None:
    with live_worker(place) as (live, configuration, _):
        configuration.set_flag(Flag.TRACK_MODEL_COSTS, FlagState(False), ANN)
        live.read()
        job = place.run(new_job())
        [cost_log] = place.store.cost_logs(job["id"])
        assert (job["state"], cost_log["cost_picousd"]) == (State.SUCCEEDED, None)
        assert cost_log["input_tokens"] > 0
        configuration.reset_flag(Flag.TRACK_MODEL_COSTS, ANN)
        live.read()
        [cost_log] = place.store.cost_logs(place.run(new_job())["id"])
        assert cost_log["cost_picousd"] > 0


def test_without_the_routing_service_the_catalogs_order_counts(place: WorkerPlace) -> None:
    with live_worker(place) as (live, configuration, core):
        dear = {**ENTRY, "price": {"input": "900", "output": "900", "as_of": "2026-01-01"}}
        first = next(d.id for d in core.catalog if d.adapter == "sandbox")
        configuration.set_deployment(first, dear, ANN)
        live.read()
        job = new_job()
        place.run(job)
        assert place.store.view(job.id)["plan"]["steps"][0]["deployment"] != first
        configuration.set_flag(Flag.ENABLE_ARCHGW_ROUTING, FlagState(False), ANN)
        live.read()
        job = new_job()
        assert place.run(job)["state"] == State.SUCCEEDED
        plan = place.store.view(job.id)["plan"]
        assert (plan["strategy"], plan["steps"][0]["deployment"]) == ("catalog_order", first)


def test_without_trace_export_what_finishes_is_not_exported(place: WorkerPlace, tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    with live_worker(place, trace_export_file=path) as (live, configuration, _):
        configuration.set_flag(Flag.ENABLE_ASYNC_TRACE_EXPORT, FlagState(False), ANN)
        live.read()
        place.run(new_job())
        configuration.reset_flag(Flag.ENABLE_ASYNC_TRACE_EXPORT, ANN)
        live.read()
        exported = place.run(new_job())["id"]
        place.heard.until(lambda: path.exists() and path.read_text().endswith("\n"))
        assert [json.loads(line)["job"]["id"] for line in path.read_text().splitlines()] == [exported]


def test_a_job_whose_deployment_was_removed_meanwhile_goes_on_with_the_next(place: WorkerPlace) -> None:
    with live_worker(place) as (live, configuration, _):
        cheap = {**ENTRY, "price": {"input": "0", "output": "0", "as_of": "2026-01-01"}}
        configuration.set_deployment("sandbox/cheap@us", cheap, ANN)
        live.read()
        told = new_job(provider_options={"sandbox": {"failures": ["server_error"]}})
        [job_id] = place.submit(told)
        place.reaches(job_id, State.PARKED)
        assert place.store.view(job_id)["plan"]["steps"][0]["deployment"] == "sandbox/cheap@us"
        configuration.remove_deployment("sandbox/cheap@us", ANN)
        live.read()
        place.wake(job_id)
        assert place.finished(job_id) == [State.SUCCEEDED]
        assert place.store.attempts(job_id)[-1]["deployment"] != "sandbox/cheap@us"
