"""Large results: read apart from their jobs, piece by piece, and the same on both databases."""

import json
from typing import Any

import pytest

from synthralos.domain.ids import new_id
from synthralos.domain.states import Transition
from synthralos.store.read.whole import LARGE, PIECE, WholeJobs
from synthralos.store.tables import results
from tests.fakes.jobs import new_job, settlement
from tests.fakes.stores import Store

WORDS = 'Über "alles" ☃ 🌍 \\ '


def with_result(store: Store, result: dict[str, Any]) -> str:
    """A finished job with that result."""
    job = store.started(new_job())
    assert store.settle(settlement(job, Transition.SUCCEED, result=result))
    return job.id


def in_pieces(whole: WholeJobs, job_id: str) -> bytes:
    found, number = b"", 0
    while piece := whole.piece(job_id, number):
        found, number = found + piece, number + 1
    return found


@pytest.mark.parametrize("length", [LARGE + 1, PIECE, 3 * PIECE, 3 * PIECE + 7])
def test_all_pieces_together_are_the_result(store: Store, length: int) -> None:
    whole, result = WholeJobs(store.database), {"text": (WORDS * length)[:length], "deployment": "a"}
    job_id = with_result(store, result)
    row = whole.read([job_id])[job_id]
    came = in_pieces(whole, job_id)
    assert json.loads(came) == result
    assert row["result_bytes"] == len(came)
    assert row["state"] == "succeeded"


def test_large_and_small_ones_and_those_without_are_read_together(store: Store) -> None:
    whole = WholeJobs(store.database)
    small, large = with_result(store, {"text": "Hi"}), with_result(store, {"text": "x" * LARGE})
    none, open_one = with_result(store, {}), store.submit(new_job())[0]
    store.update(results, results.c.job_id == none, result=None)
    rows = whole.read([small, large, none, open_one, new_id()])
    assert rows.keys() == {small, large, none, open_one}
    assert {job_id for job_id, row in rows.items() if row.get("result_bytes")} == {large}
    assert rows[none]["result"] is None


def test_of_a_result_that_was_removed_no_more_pieces_come(store: Store) -> None:
    whole = WholeJobs(store.database)
    job_id = with_result(store, {"text": "x" * (2 * PIECE)})
    assert len(whole.piece(job_id, 0)) == PIECE
    store.update(results, results.c.job_id == job_id, result=None)
    assert whole.piece(job_id, 1) == b""
    assert whole.piece(new_id(), 0) == b""
