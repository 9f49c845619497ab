"""The entrance of the bulk lane: who is called, how many, and who hears that it is crowded."""

from dataclasses import dataclass, field

import pytest

import scheduler.entrance
from scheduler.entrance import Entrance
from synthralos.bus.memory import MemoryBus
from synthralos.bus.protocol import Topic
from synthralos.control.crowding import CROWDED_SECONDS, Crowding
from synthralos.domain.jobs import Tenant
from synthralos.domain.states import Stage
from synthralos.domain.turns import Path
from synthralos.store.queue.lines import Crowd, Lines
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import new_job
from tests.fakes.stores import Store

LEAST, ALONE = 8, 32


@dataclass
class Scene:
    """An entrance on a real store, and somebody who accepts jobs."""

    store: Store
    weights: dict[str, float] = field(default_factory=dict)
    now: float = 1_000.0

    def __post_init__(self) -> None:
        self.bus, self.doorbell = MemoryBus(), RecordingDoorbell()
        self.lines = Lines(self.store.database)
        self.crowding = Crowding(self.bus, self.clock)
        self.crowding.start()
        self.entrance = Entrance(self.lines, self.doorbell, self.bus, self.weights_of, self.clock)

    def clock(self) -> float:
        return self.now

    def weights_of(self, path: Path, plan: str) -> list[float]:
        return [self.weights.get(name, 1.0) for name in path]

    def sent(self, organization: str, count: int, *, lined: bool, workspace: str = "default") -> list[str]:
        """The ids of that many bulk jobs."""
        tenant, tokens = Tenant(organization, workspace), 100 if lined else None
        return self.store.submit(*(new_job(tenant=tenant, line_tokens=tokens) for _ in range(count)))

    def take_all(self) -> list[str]:
        """Workers take everybody whom they were rung for, in that order."""
        rung = self.doorbell.rung(Stage.GUARD)
        worker = self.store.worker()
        taken = {job.id for job in self.store.claims.claim(Stage.GUARD, rung, worker)} if rung else set()
        return [job_id for job_id in rung if job_id in taken]


@pytest.fixture
def scene(store: Store, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(scheduler.entrance, "LEAST_RUNG", LEAST)
    monkeypatch.setattr(scheduler.entrance, "ALONE_RUNG", ALONE)
    return Scene(store)


def test_nothing_happens_where_few_wait(scene: Scene) -> None:
    scene.sent("a", LEAST // 2 - 1, lined=False)
    assert scene.entrance.round() is None
    assert not scene.crowding.now
    assert scene.doorbell.rung(Stage.GUARD) == []


def test_who_accepts_jobs_hears_that_it_is_crowded_for_as_long_as_it_is(scene: Scene) -> None:
    scene.sent("a", ALONE, lined=False)
    assert scene.entrance.round() == 0
    assert scene.crowding.now
    scene.now += CROWDED_SECONDS
    assert not scene.crowding.now
    scene.entrance.round()
    assert scene.crowding.now


def test_lines_are_called_by_weight_until_all_are_through(scene: Scene) -> None:
    scene.weights = {"b": 3.0}
    everybody = {*scene.sent("a", 40, lined=True), *(heavy := scene.sent("b", 40, lined=True))}
    called: list[str] = []
    while (count := scene.entrance.round()) is not None:
        taken = scene.take_all()
        assert len(taken) == count
        called += taken
        scene.doorbell.rings.clear()
    assert set(called) == everybody
    first = called[:40]
    assert 28 <= sum(job_id in heavy for job_id in first) <= 32


def test_workspaces_share_the_turn_of_their_organization(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where lines are read in pieces."""
    monkeypatch.setattr(scheduler.entrance, "LEAST_READ", 2)
    scene.weights = {"live": 3.0}
    sent = {
        name: set(scene.sent(name[0], 60, lined=True, workspace=name[1:]))
        for name in ("adefault", "blive", "btrials", "cdefault")
    }
    called = list[str]()
    while len(called) < 100:
        scene.entrance.round()
        called += scene.take_all()
        scene.doorbell.rings.clear()
    had = {name: len(ids & set(called)) for name, ids in sent.items()}
    third = len(called) / 3
    assert had == {
        "adefault": pytest.approx(third, abs=2),
        "blive": pytest.approx(third * 3 / 4, abs=3),
        "btrials": pytest.approx(third / 4, abs=3),
        "cdefault": pytest.approx(third, abs=2),
    }


def test_of_more_lines_than_a_round_knows_of_none_is_passed_over(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler.entrance, "MOST_LISTED", 3)
    firsts = {scene.sent("a", 20, lined=True, workspace=f"w{number}")[0] for number in range(7)}
    called = set[str]()
    for _ in range(4):
        scene.entrance.round()
        called.update(scene.take_all())
        scene.doorbell.rings.clear()
    assert firsts <= called


def test_who_accepts_jobs_hears_how_fast_each_line_moves(scene: Scene) -> None:
    scene.weights = {"b": 3.0}
    for name in ("a", "b"):
        scene.sent(name, 100, lined=True)
    assert scene.crowding.pace("a") is None
    for _ in range(8):
        scene.entrance.round()
        scene.take_all()
        scene.doorbell.rings.clear()
        scene.now += 1
    slow, fast = scene.crowding.pace("a"), scene.crowding.pace("b")
    assert slow is not None
    assert fast is not None
    assert 2 <= fast / slow <= 4
    assert LEAST / 2 <= slow + fast <= 4 * LEAST
    assert scene.crowding.pace("c") is None
    scene.now += CROWDED_SECONDS
    assert scene.crowding.pace("a") is None


def test_only_so_many_are_called_as_have_room(scene: Scene) -> None:
    scene.sent("a", 3, lined=False)
    scene.sent("b", 20, lined=True)
    assert scene.entrance.round() == LEAST - 3
    assert scene.entrance.round() == 0


def test_an_organization_that_is_alone_joins_a_line_when_another_comes(scene: Scene) -> None:
    early = scene.sent("a", 3 * LEAST, lined=False)
    scene.entrance.round()
    assert scene.lines.crowd(100) == Crowd(3 * LEAST, False)
    scene.now += 1
    late = scene.sent("b", LEAST, lined=True)
    scene.entrance.round()
    assert scene.lines.crowd(100) == Crowd(LEAST, True)
    assert scene.lines.names(100) == ["a", "b"]
    taken = scene.store.claims.take(Stage.GUARD, early, scene.store.worker())
    assert {job.id for job in taken} == set(early[:LEAST])
    scene.store.claims.claim(Stage.GUARD, early[:LEAST], scene.store.worker())
    scene.entrance.round()
    assert set(scene.take_all()) & set(late)


def test_those_who_accept_ask_the_leader_to_look(scene: Scene) -> None:
    heard: list[str] = []
    scene.bus.subscribe(Topic.CHANGED, lambda ids: heard.extend(ids or ()))
    scene.crowding.accepted(["first"] * 499)
    assert heard == []
    scene.crowding.accepted(["last"])
    assert heard == ["last"]
