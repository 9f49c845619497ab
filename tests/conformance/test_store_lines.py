"""The lines of bulk jobs: who stands in one is not rung for, not taken, and leaves it once."""

from typing import Any

import pytest

import synthralos.store.read.standing
from synthralos.domain.jobs import NewJob, Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Lane, Stage, State, Transition
from synthralos.domain.turns import path_of
from synthralos.domain.writes import Written
from synthralos.store.admin.keys import Keys
from synthralos.store.queue.lines import Crowd, Lines
from synthralos.store.queue.submissions import Idempotency, Submission
from synthralos.store.read.standing import LinePlaces
from tests.fakes.jobs import new_job, settlement, start
from tests.fakes.stores import Store

MOST = 100


def lined(organization: str, tokens: int = 10, lane: Lane = Lane.BULK, **more: Any) -> NewJob:
    """A job that is to wait in line."""
    return new_job(**{"tenant": Tenant(organization), "lane": lane, "line_tokens": tokens, **more})


def take(store: Store, *job_ids: str) -> list[str]:
    """The jobs that a worker takes which was rung for these."""
    return [job.id for job in store.claims.take(Stage.GUARD, job_ids, store.worker())]


def test_a_line_is_first_come_first_served_with_the_tokens_that_were_expected(store: Store) -> None:
    lines = Lines(store.database)
    assert lines.crowd(MOST) == Crowd(0, False)
    first, second = store.submit(lined("b", 7), lined("b", 8))
    [other] = store.submit(lined("a", 9))
    assert lines.crowd(MOST) == Crowd(0, True)
    assert lines.names(MOST) == ["a", "b"]
    heads = lines.heads(["a", "b", "c"], MOST)
    assert {name: [(each.job_id, each.tokens) for each in head] for name, head in heads.items()} == {
        "a": [(other, 9)],
        "b": [(first, 7), (second, 8)],
    }
    assert [each.job_id for each in lines.heads(["b"], 1)["b"]] == [first]
    assert [each.job_id for each in lines.heads(["b"], MOST, first)["b"]] == [second]
    assert lines.heads(["b"], MOST, second) == {}
    assert (lines.names(1), lines.names(MOST, "a")) == (["a"], ["b"])


def test_each_workspace_and_each_user_with_a_key_of_their_own_has_a_line(store: Store) -> None:
    keys = Keys(store.database)
    own = keys.create("ann's", Role.SERVICE, Scope("a", "w", "ann"), plan="pro")[1].id
    shared = keys.create("all", Role.SERVICE, Scope("a"), plan="pro")[1].id
    senders = {
        ("a", "default", ""): {"tenant": Tenant("a")},
        ("a", "w", ""): {"tenant": Tenant("a", "w", "bob"), "api_key_id": shared},
        ("a", "w", "ann"): {"tenant": Tenant("a", "w", "ann"), "api_key_id": own, "user_bound": True},
    }
    expected = sorted(map("\x1f".join, [("a",), ("a", "w"), ("a", "w", "ann")]))
    store.submit(*(lined("a", **sender) for sender in senders.values()))
    lines = Lines(store.database)
    assert sorted(lines.names(MOST)) == expected
    assert sorted(map(path_of, expected)) == sorted(senders)
    assert lines.several_lately(MOST)
    lines.call([each.job_id for head in lines.heads(expected, MOST).values() for each in head])
    assert lines.names(MOST) == []
    lines.put_back(MOST)
    assert sorted(lines.names(MOST)) == expected


def test_the_users_that_a_shared_key_names_stand_in_one_line(store: Store) -> None:
    key = Keys(store.database).create("all", Role.SERVICE, Scope("a"), plan="pro")[1].id
    store.submit(*(new_job(tenant=Tenant("a", user=name), api_key_id=key) for name in ("ann", "bob")))
    lines = Lines(store.database)
    assert not lines.several_lately(MOST)
    lines.put_back(MOST)
    assert lines.names(MOST) == ["a"]


def test_a_place_in_line_counts_those_of_the_organization_that_are_before_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthralos.store.read.standing, "MOST_COUNTED", 3)
    places = LinePlaces(store.database)
    mine = store.submit(*(lined("a") for _ in range(6)))
    store.submit(lined("b"), lined("b"))
    [rung] = store.submit(new_job(tenant=Tenant("a")))
    found = places.of([*mine, rung])
    assert [found[job_id].ahead for job_id in mine] == [0, 1, 2, 3, 3, 3]
    assert {place.line for place in found.values()} == {"a"}
    assert rung not in found
    Lines(store.database).call(mine[:2])
    assert [place.ahead for place in places.of(mine[2:4]).values()] == [0, 1]
    assert places.of([]) == {}


def test_who_stands_in_line_is_queued_for_people_and_out_of_reach_for_workers(store: Store) -> None:
    [job_id] = store.submit(lined("a"))
    assert store.state(job_id) == State.QUEUED
    assert take(store, job_id) == []
    assert store.sweeps.unclaimed_jobs(Stage.GUARD, Lane.BULK, 0.0, MOST) == []
    lines = Lines(store.database)
    assert lines.call([job_id]) == {job_id}
    assert lines.call([job_id]) == set()
    assert lines.crowd(MOST) == Crowd(1, False)
    assert take(store, job_id) == [job_id]


def test_who_was_rung_for_is_put_back_the_last_first(store: Store) -> None:
    lines = Lines(store.database)
    ids = [store.submit(new_job(tenant=Tenant("a")))[0] for _ in range(4)]
    [person] = store.submit(new_job(lane=Lane.INTERACTIVE))
    for age, job_id in enumerate(reversed(ids), 1):
        store.backdate(job_id, notified_at=age)
    assert lines.crowd(MOST) == Crowd(4, False)
    assert lines.crowd(2) == Crowd(2, False)
    lines.put_back(3)
    assert lines.crowd(MOST) == Crowd(1, True)
    assert [each.job_id for each in lines.heads(["a"], MOST)["a"]] == ids[1:]
    assert all(each.tokens > 0 for each in lines.heads(["a"], MOST)["a"])
    assert sorted(take(store, *ids, person)) == sorted([ids[0], person])


def test_a_job_that_a_worker_has_is_not_put_back(store: Store) -> None:
    job = store.claimed(new_job(tenant=Tenant("a")))
    lines = Lines(store.database)
    lines.put_back(MOST)
    assert (store.state(job.id), lines.names(MOST)) == (State.ACTIVE, [])


def test_a_repeated_submission_stands_in_line_once(store: Store) -> None:
    job = lined("a")
    for key in (None, Idempotency("key", "print")):
        for _ in range(2):
            store.submissions.accept([Submission([job], key)])
    lines = Lines(store.database)
    assert [each.job_id for each in lines.heads(["a"], MOST)["a"]] == [job.id]
    lines.call([job.id])
    store.submissions.accept([Submission([job])])
    assert lines.crowd(MOST) == Crowd(1, False)


def test_a_job_leaves_its_line_when_it_is_called_off_or_rerouted(store: Store) -> None:
    off, rerouted = store.submit(lined("a"), lined("a"))
    store.operations.cancel(off, EVERYTHING, "ann")
    store.operations.reroute(rerouted, EVERYTHING, "ann", {"region": "eu"})
    assert Lines(store.database).names(MOST) == []
    assert take(store, off, rerouted) == [rerouted]


def test_several_senders_are_seen_among_the_newest_jobs(store: Store) -> None:
    lines = Lines(store.database)
    store.submit(new_job(tenant=Tenant("a")))
    assert not lines.several_lately(MOST)
    store.submit(new_job(tenant=Tenant("b")))
    assert lines.several_lately(MOST)
    assert not lines.several_lately(1)


@pytest.mark.parametrize("how", ["claimed", "started", "parked"])
def test_whoever_begins_with_a_job_takes_it_out_of_its_line(store: Store, how: str) -> None:
    """It was put back in the moment in which a worker had read it, and had written nothing yet."""
    [job_id] = store.submit(new_job(tenant=Tenant("a")))
    [job] = store.claims.take(Stage.GUARD, [job_id], store.worker())
    lines = Lines(store.database)
    lines.put_back(MOST)
    assert lines.names(MOST) == ["a"]
    if how == "claimed":
        [job] = store.claims.claim(Stage.GUARD, [job_id], store.worker())
    elif how == "started":
        assert store.settlements.start([start(job)]) == [Written.DONE]
    else:
        assert store.settle(settlement(job, Transition.PARK, stage=Stage.GUARD, delay=60.0))
    assert lines.names(MOST) == []
