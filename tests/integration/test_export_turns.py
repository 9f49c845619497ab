"""Whose turn it is to ship, on both databases: one exporter's for each destination, or the workers' without one."""

from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa

from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import leaders, processes
from tests.fakes.stores import Store
from workers.export_turns import KIND, LOOK_EVERY, ExportersTurn, LivingExporters, WorkersTurn

TERM = 6.0


@dataclass
class Monotonic:
    """A clock that the test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Fleet:
    store: Store
    clock: Monotonic = field(default_factory=Monotonic)

    def living(self) -> LivingExporters:
        return LivingExporters(self.store.processes, 15.0, self.clock)

    def exporter(self, *destinations: str) -> tuple[str, ExportersTurn]:
        process_id = self.store.processes.register(KIND, destinations)
        return process_id, ExportersTurn(self.store.database, self.living(), lambda: process_id, TERM, self.clock)

    def look_again(self) -> None:
        self.clock.now += LOOK_EVERY

    def terms_run_out(self) -> None:
        with self.store.database.transaction() as connection:
            connection.execute(sa.update(leaders).values(until=utc_in(sa.literal(-0.01))))

    def falls_silent(self, process_id: str) -> None:
        with self.store.database.transaction() as connection:
            silent = sa.update(processes).where(processes.c.id == process_id)
            connection.execute(silent.values(heartbeat_at=utc_in(sa.literal(-60.0))))


@pytest.fixture
def fleet(database: Database) -> Fleet:
    return Fleet(Store(database))


def test_one_alone_ships_everywhere_and_a_second_takes_its_share_when_that_is_free(fleet: Fleet) -> None:
    _, first = fleet.exporter("langfuse", "otlp")
    assert (first("langfuse"), first("otlp")) == (True, True)
    _, second = fleet.exporter("langfuse", "otlp")
    fleet.look_again()
    assert [name for name in ("langfuse", "otlp") if second(name)] == [], "the first holds its terms still"
    assert sum([first("langfuse"), first("otlp")]) == 1
    assert sum([second("langfuse"), second("otlp")]) == 1
    assert [first("langfuse"), first("otlp")] == [not second("langfuse"), not second("otlp")]


def test_when_one_falls_silent_another_ships_as_soon_as_its_term_is_over(fleet: Fleet) -> None:
    first_id, first = fleet.exporter("otlp")
    assert first("otlp")
    _, second = fleet.exporter("otlp")
    fleet.falls_silent(first_id)
    fleet.look_again()
    assert not second("otlp")
    fleet.terms_run_out()
    assert second("otlp")
    assert not first("otlp")


def test_one_that_stops_leaves_its_destinations_to_others_at_once(fleet: Fleet) -> None:
    first_id, first = fleet.exporter("otlp")
    assert first("otlp")
    _, second = fleet.exporter("otlp")
    fleet.store.processes.mark(first_id, "stopped")
    first.resign()
    assert second("otlp")
    assert second.held() == {("otlp",): 1.0}


def test_a_destination_that_one_alone_knows_is_its(fleet: Fleet) -> None:
    _, first = fleet.exporter("jsonl", "langfuse", "otlp")
    fleet.exporter("otlp")
    assert (first("jsonl"), first("langfuse"), first("otlp")) == (True, True, False)


def test_a_term_is_renewed_without_asking_each_time(fleet: Fleet) -> None:
    _, turn = fleet.exporter("otlp")
    assert turn("otlp")
    fleet.terms_run_out()
    assert turn("otlp"), "it is trusted until it is to be renewed"
    fleet.clock.now += TERM / 2
    assert turn("otlp")
    _, rival = fleet.exporter("otlp")
    assert not rival("otlp")


@pytest.mark.parametrize(("by", "while_one_lives", "else_"), [
    ("auto", False, True), ("workers", True, True), ("exporters", False, False),
])  # fmt: skip
def test_workers_ship_as_the_setting_says_and_by_itself_while_no_exporter_lives(
    fleet: Fleet, by: str, while_one_lives: bool, else_: bool
) -> None:
    turn = WorkersTurn(by, fleet.living())
    assert turn("otlp") is else_
    exporter, _ = fleet.exporter("otlp")
    fleet.look_again()
    assert (turn("otlp"), turn.lately("otlp")) == (while_one_lives, while_one_lives)
    assert turn("langfuse") is else_, "no exporter ships there"
    fleet.falls_silent(exporter)
    fleet.look_again()
    assert (turn("otlp"), turn.lately("otlp")) == (else_, else_)
