"""Who is served when: by turns, with half of the threads for those who take what is sent to them."""

import random
from collections import Counter
from datetime import UTC, datetime

from scheduler.delivering.lanes import AT_ONCE, LONGEST_REST, Lanes
from synthralos.domain.delivering import Delivered, Refused, Sending, Target, TryAgain
from synthralos.domain.feed import Item
from synthralos.domain.ids import new_id

EVENT = Item(new_id(), "breaker.opened", datetime.now(UTC), "acme", "system", {})


def lanes(*targets: str, threads: int = 8, waiting: int = 50) -> Lanes:
    made = Lanes(threads, random.Random(1))
    for lane in made.set_targets([Target(each) for each in targets]):
        lane.waiting.extend(Sending(new_id(), lane.target, EVENT, 0) for _ in range(waiting))
    return made


def served(made: Lanes, now: float = 0.0) -> Counter[str]:
    return Counter(sending.target.id for sending in made.next_sendings(now))


def test_threads_are_shared_by_turns_and_nobody_is_passed_over() -> None:
    made, total = lanes(*(f"t{number}" for number in range(20))), Counter[str]()
    for _ in range(20):
        sendings = made.next_sendings(0.0)
        assert len(sendings) == 8
        for sending in sendings:
            total[sending.target.id] += 1
            made.ended(sending, Delivered(200), 0.0)
    assert set(total.values()) == {8}


def test_one_target_alone_gets_so_many_at_once() -> None:
    assert served(lanes("one", threads=16)) == {"one": AT_ONCE}


def test_those_that_fail_have_half_of_the_threads_at_most_and_one_each() -> None:
    failing = [f"bad{number}" for number in range(10)]
    made = lanes(*failing, "good", threads=8)
    for target in failing:
        made.stands(target, 3)
    got = served(made)
    assert got["good"] == AT_ONCE
    assert sum(got[target] for target in failing) == 4
    assert max(got[target] for target in failing) == 1


def test_one_that_fails_rests_longer_each_time_and_all_that_waits_for_it_with_it() -> None:
    made, now, rests = lanes("bad"), 0.0, []
    for _ in range(40):
        lane = made["bad"]
        lane.waiting.append(Sending(new_id(), lane.target, EVENT, 0))
        [sending, *others] = made.next_sendings(now)
        for each in (sending, *others):
            made.ended(each, TryAgain("no"), now)
        assert not lane.waiting
        assert served(made, now) == {}
        assert not lane.wants_more(now)
        rests.append(lane.rest_until - now)
        now = lane.rest_until
        assert lane.wants_more(now)
    assert max(rests[:2]) < max(rests[10:]) <= LONGEST_REST
    made["bad"].waiting.append(Sending(new_id(), lane.target, EVENT, 0))
    [sending] = made.next_sendings(now)
    made.ended(sending, Delivered(200), now)
    assert made.failing == 0


def test_a_wish_is_kept_where_it_is_longer_and_a_refusal_counts_as_a_failure() -> None:
    made = lanes("bad", "gone", waiting=1)
    sendings = {each.target.id: each for each in made.next_sendings(0.0)}
    assert made.ended(sendings["bad"], TryAgain("later", after=5_000.0), 0.0) >= 5_000.0
    assert made["bad"].rest_until == 5_000.0
    made.ended(sendings["gone"], Refused("no more", gone=True), 0.0)
    assert made.failing == 2


def test_what_was_halted_goes_on_when_its_failures_are_forgotten() -> None:
    made = lanes("one")
    made.halt("one")
    assert served(made, 1e12) == {}
    made.stands("one", 0)
    assert made["one"].wants_more(0.0)


def test_a_full_lane_has_room_again_once_half_is_gone_however_many_end_at_once() -> None:
    made = lanes("one", waiting=10)
    lane = made["one"]
    lane.count, lane.full = 10, True
    told = []
    for ended in (3, 3, 3):  # five is never seen
        for sending in made.next_sendings(0.0)[:ended]:
            made.ended(sending, Delivered(200), 0.0)
        told.append(lane.has_room(10))
    assert told == [False, True, False]
