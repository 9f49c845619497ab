"""Answers while they are written: what the events of a streamed job say of them."""

from __future__ import annotations

from dataclasses import dataclass

from synthralos_client.models import Event, Job, Json


@dataclass(frozen=True)
class Delta:
    """More of the answer of a streamed job.

    `text`, `reasoning` and `tool_calls` (`index`, `id`, `name`, and a piece of `arguments` each) are what is new.
    `restarted`: the answer begins anew, in another attempt, and what came before is to be thrown away. The last one is
    empty, and has the finished `job`. `id` is where to go on from: `last_event_id`.
    """

    id: str
    attempt: int
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[Json, ...] = ()
    restarted: bool = False
    job: Job | None = None


def delta_of(event: Event) -> Delta | None:
    """What an event says of the answer; None where it says nothing of it."""
    data = event.data
    if event.kind == "delta":
        return Delta(event.id, data["attempt"], data["text"], data["reasoning"], tuple(data["tool_calls"]))
    if event.kind == "restarted":
        return Delta(event.id, data["attempt"], restarted=True)
    if event.kind == "done":
        job = Job.from_json(data)
        return Delta(event.id, job.attempts, job=job)
    return None
