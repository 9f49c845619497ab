"""Agent runs: what `Client.healing` and `AsyncClient.healing` do about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.operations import job_path, keyed_post
from synthralos_client.sending import Operation

if TYPE_CHECKING:
    from typing_extensions import Unpack

Run = Callable[[Operation[Json]], Json]
AsyncRun = Callable[[Operation[Json]], Awaitable[Json]]


class RunCaps(TypedDict, total=False):
    """Caps of a run: what is left out is not capped, but for `max_repeats`, which is 3. Money is in USD.

    `deadline` or `max_seconds` (from now), not both. `organization`: for keys that are bound to none.
    """

    max_calls: int
    max_cost_usd: Decimal | str
    deadline: datetime | str
    max_seconds: float
    max_repeats: int
    organization: str


class ForkOptions(TypedDict, total=False):
    """What is to be different in a fork. `new_run_id`: of the new run; with it, the call may be repeated.

    `input`: messages, or one user message; the texts of an embedding job. In `constraints`, null removes a member.
    """

    new_run_id: str
    model: str
    input: str | Sequence[Any]
    constraints: Mapping[str, Any]


class Runs:
    """Seen, capped, and gone on with."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run

    def run(self, run_id: str) -> Json:
        """An agent run: its steps in order, their jobs and states, and what it has cost."""
        return self._run(configuring.read(self._config, ("runs", run_id), {}))

    def note_thought(self, job_id: str, text: str, *, idempotency_key: str | None = None) -> Json:
        """Note what an agent thinks about a job: among its events, in its trace and with its run."""
        return self._run(keyed_post(self._config, job_path(job_id, "thoughts"), {"text": text}, idempotency_key))

    def recover_run(self, run_id: str, *, steps: Sequence[str] | None = None, reason: str = "") -> Json:
        """Go on from the last good step: what ended badly is sent through again; of `steps`, missing ones are told."""
        body = {"steps": None if steps is None else list(steps), "reason": reason}
        return self._run(configuring.post(self._config, ("runs", run_id, "recover"), body))

    def fork_run(self, run_id: str, from_step: str, *, reason: str = "", **options: Unpack[ForkOptions]) -> Json:
        """A new run from a step (its name, or the id of its job): what was finished before it is kept."""
        return self._run(configuring.post(self._config, ("runs", run_id, "fork"), _fork(from_step, options, reason)))

    def cap_run(self, run_id: str, *, reason: str = "", **caps: Unpack[RunCaps]) -> Json:
        """Cap a run by calls, money, time and repeats, in place of the caps that it had; what was used of them."""
        return self._run(configuring.put(self._config, ("runs", run_id), _caps(caps, reason)))

    def uncap_run(self, run_id: str, *, organization: str | None = None, reason: str = "") -> Json:
        """Remove the caps of a run; they, as they were."""
        return self._run(_uncap(self._config, run_id, organization, reason))


class AsyncRuns:
    """`Runs` documents the methods, which are the same."""

    def __init__(self, config: Config, run: AsyncRun) -> None:
        self._config = config
        self._run = run

    async def run(self, run_id: str) -> Json:
        """See `Runs.run`."""
        return await self._run(configuring.read(self._config, ("runs", run_id), {}))

    async def note_thought(self, job_id: str, text: str, *, idempotency_key: str | None = None) -> Json:
        """See `Runs.note_thought`."""
        return await self._run(keyed_post(self._config, job_path(job_id, "thoughts"), {"text": text}, idempotency_key))

    async def recover_run(self, run_id: str, *, steps: Sequence[str] | None = None, reason: str = "") -> Json:
        """See `Runs.recover_run`."""
        body = {"steps": None if steps is None else list(steps), "reason": reason}
        return await self._run(configuring.post(self._config, ("runs", run_id, "recover"), body))

    async def fork_run(self, run_id: str, from_step: str, *, reason: str = "", **options: Unpack[ForkOptions]) -> Json:
        """See `Runs.fork_run`."""
        body = _fork(from_step, options, reason)
        return await self._run(configuring.post(self._config, ("runs", run_id, "fork"), body))

    async def cap_run(self, run_id: str, *, reason: str = "", **caps: Unpack[RunCaps]) -> Json:
        """See `Runs.cap_run`."""
        return await self._run(configuring.put(self._config, ("runs", run_id), _caps(caps, reason)))

    async def uncap_run(self, run_id: str, *, organization: str | None = None, reason: str = "") -> Json:
        """See `Runs.uncap_run`."""
        return await self._run(_uncap(self._config, run_id, organization, reason))


def _fork(from_step: str, options: ForkOptions, reason: str) -> dict[str, object]:
    changed = {name: value for name, value in options.items() if name != "new_run_id"}
    return {"from_step": from_step, "run_id": options.get("new_run_id"), **changed, "reason": reason}


def _caps(caps: RunCaps, reason: str) -> dict[str, object]:
    texts = {name: str(value) for name, value in caps.items() if isinstance(value, Decimal)}
    times = {name: value.isoformat() for name, value in caps.items() if isinstance(value, datetime)}
    return {**caps, **texts, **times, "reason": reason}


def _uncap(config: Config, run_id: str, organization: str | None, reason: str) -> Operation[Json]:
    return configuring.remove(config, ("runs", run_id, "caps"), reason=reason, organization=organization)
