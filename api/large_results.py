"""Jobs whose results are large: sent piece by piece, so that no result is in the process's memory as a whole."""

from collections.abc import AsyncIterator
from functools import partial

from starlette.responses import StreamingResponse

from api.room import Room


class ResultGone(Exception):
    """The result was removed while it was sent."""


def large_answer(room: Room, job_id: str, body: bytes, result_bytes: int) -> StreamingResponse:
    """The job's published form, in which the mark of `WholeJobs` stands for a result of so many bytes.

    Its length is told beforehand: where the result is removed meanwhile, the caller sees that it did not get all of it.
    """
    headers = {"Content-Length": str(len(body) - len(room.whole.mark) + result_bytes)}
    return StreamingResponse(in_pieces(room, job_id, body, result_bytes), 200, headers, "application/json")


async def in_pieces(room: Room, job_id: str, body: bytes, result_bytes: int) -> AsyncIterator[bytes]:
    """The same as it is sent. Raises `ResultGone`."""
    before, after = body.split(room.whole.mark)
    yield before
    sent = number = 0
    while sent < result_bytes:
        piece = await room.read(partial(room.whole.piece, job_id, number))
        if not piece:
            raise ResultGone
        sent, number = sent + len(piece), number + 1
        yield piece
    yield after
