"""Policy sets of `Client.configuration` and `AsyncClient.configuration`: written, looked at, tried on recorded jobs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.configuring import API, Path
from synthralos_client.errors import ConnectError, api_error
from synthralos_client.models import Json
from synthralos_client.sending import Call, Operation, encode

if TYPE_CHECKING:
    from typing_extensions import Unpack

Run = Callable[[Operation[Json]], Json]
AsyncRun = Callable[[Operation[Json]], Awaitable[Json]]
Stream = Callable[[Call], Generator[bytes, None, None]]
AsyncStream = Callable[[Call], AsyncGenerator[bytes, None]]

SILENCE = 60.0
"""Seconds without a line after which a simulation is taken for lost."""


class Simulated(TypedDict, total=False):
    """What to try, and on which jobs: the newest `last` of those from `since` until before `until`."""

    draft: Mapping[str, Any]
    policy_id: str
    version: int
    last: int
    since: datetime | str
    until: datetime | str
    organization: str


def simulating(wanted: Mapping[str, Any]) -> Call:
    """The request that begins a simulation."""
    return Call("POST", f"{API}/policies/simulate", body=encode(wanted), waits=SILENCE)


class LineReader:
    """Reads one JSON object a line; raises the error that a line tells of."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[Json]:
        """Take bytes; the lines that they complete."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for text in lines:
            line: Json = json.loads(text)
            if line["event"] == "error":
                raise api_error(line["problem"]["status"], line["problem"], None)
            yield line

    def broken(self) -> ConnectError:
        """The error of a stream that ended before its result."""
        return ConnectError("the simulation broke off before its end: begin it again")


class PolicySets:
    """What `Configuration` does about policy sets."""

    def __init__(self, config: Config, run: Run, stream: Stream) -> None:
        self._config = config
        self._run = run
        self._stream = stream

    def policies(self) -> list[Json]:
        """The policy sets that the key may see."""
        found: list[Json] = self._read(("policies",))["policies"]
        return found

    def policy(self, policy_id: str) -> Json:
        """One policy set at its present version."""
        return self._read(("policies", policy_id))

    def policy_versions(self, policy_id: str) -> list[Json]:
        """All versions of a policy set, newest first."""
        found: list[Json] = self._read(("policies", policy_id, "versions"))["versions"]
        return found

    def create_policy(self, document: Mapping[str, Any], *, reason: str = "", force: bool = False) -> Json:
        """Make a policy set; `warnings` say what may not be meant, and severe ones have to be forced.

        Not repeated where the answer is lost: look whether it is there.
        """
        return self._post(("policies",), {"reason": reason, "force": force, **document})

    def replace_policy(
        self, policy_id: str, document: Mapping[str, Any], *, reason: str = "", force: bool = False
    ) -> Json:
        """Replace a policy set by a new version."""
        return self._put(("policies", policy_id), {"reason": reason, "force": force, **document})

    def roll_back_policy(self, policy_id: str, version: int, *, reason: str = "", force: bool = False) -> Json:
        """Have an earlier version again, as a new one."""
        return self._post(("policies", policy_id, "rollback"), {"version": version, "reason": reason, "force": force})

    def remove_policy(self, policy_id: str, *, reason: str | None = None) -> Json:
        """Remove a policy set; its versions are kept."""
        return self._remove(("policies", policy_id), reason)

    def evaluate_policies(
        self,
        *,
        job_id: str | None = None,
        facts: Mapping[str, Any] | None = None,
        draft: Mapping[str, Any] | None = None,
    ) -> Json:
        """Try policies, or a `draft` of a set, on a recorded job or on stated facts: what they decide, and why."""
        return self._post(("policies", "evaluate"), {"job_id": job_id, "facts": facts or {}, "draft": draft})

    def lint_policy(self, draft: Mapping[str, Any], *, policy_id: str | None = None) -> Json:
        """Look at a policy set, in the place of a stored one where given: its warnings, nothing is stored."""
        return self._post(("policies", "lint"), {"draft": draft, "policy_id": policy_id})

    def policy_coverage(self, policy_id: str) -> list[Json]:
        """How many jobs each rule of a policy set has matched, and which rules matched none for 30 days."""
        found: list[Json] = self._read(("policies", policy_id, "coverage"))["rules"]
        return found

    def diff_policy(self, policy_id: str, version: int, other: int | None = None) -> Json:
        """What a version of a policy set has differently from an `other` one, by default the one before."""
        return self._read(("policies", policy_id, "versions", str(version), "diff"), **{"with": other})

    def simulate_policies(
        self, *, on_progress: Callable[[Json], object] | None = None, **wanted: Unpack[Simulated]
    ) -> Json:
        """Try a `draft`, or a stored set, on recorded jobs: what it would change. `on_progress` gets the lines before.

        To call it off, raise an error in `on_progress`. Raises `RateLimited` where another one is under way.
        """
        reader = LineReader()
        with closing(self._stream(simulating(wanted))) as chunks:
            for chunk in chunks:
                for line in reader.feed(chunk):
                    if line["event"] == "result":
                        return line
                    if on_progress is not None:
                        on_progress(line)
        raise reader.broken()

    def _read(self, path: Path, **params: Any) -> Json:
        return self._run(configuring.read(self._config, path, params))

    def _put(self, path: Path, body: Mapping[str, Any], reason: str | None = None) -> Json:
        return self._run(configuring.put(self._config, path, body, reason))

    def _post(self, path: Path, body: Mapping[str, Any]) -> Json:
        return self._run(configuring.post(self._config, path, body))

    def _remove(self, path: Path, reason: str | None = None) -> Json:
        return self._run(configuring.remove(self._config, path, reason))


class AsyncPolicySets:
    """`PolicySets` documents the methods, which are the same."""

    def __init__(self, config: Config, run: AsyncRun, stream: AsyncStream) -> None:
        self._config = config
        self._run = run
        self._stream = stream

    async def policies(self) -> list[Json]:
        """See `Configuration.policies`."""
        found: list[Json] = (await self._read(("policies",)))["policies"]
        return found

    async def policy(self, policy_id: str) -> Json:
        """See `Configuration.policy`."""
        return await self._read(("policies", policy_id))

    async def policy_versions(self, policy_id: str) -> list[Json]:
        """See `Configuration.policy_versions`."""
        found: list[Json] = (await self._read(("policies", policy_id, "versions")))["versions"]
        return found

    async def create_policy(self, document: Mapping[str, Any], *, reason: str = "", force: bool = False) -> Json:
        """See `Configuration.create_policy`."""
        return await self._post(("policies",), {"reason": reason, "force": force, **document})

    async def replace_policy(
        self, policy_id: str, document: Mapping[str, Any], *, reason: str = "", force: bool = False
    ) -> Json:
        """See `Configuration.replace_policy`."""
        return await self._put(("policies", policy_id), {"reason": reason, "force": force, **document})

    async def roll_back_policy(self, policy_id: str, version: int, *, reason: str = "", force: bool = False) -> Json:
        """See `Configuration.roll_back_policy`."""
        return await self._post(
            ("policies", policy_id, "rollback"), {"version": version, "reason": reason, "force": force}
        )

    async def remove_policy(self, policy_id: str, *, reason: str | None = None) -> Json:
        """See `Configuration.remove_policy`."""
        return await self._remove(("policies", policy_id), reason)

    async def evaluate_policies(
        self,
        *,
        job_id: str | None = None,
        facts: Mapping[str, Any] | None = None,
        draft: Mapping[str, Any] | None = None,
    ) -> Json:
        """See `Configuration.evaluate_policies`."""
        return await self._post(("policies", "evaluate"), {"job_id": job_id, "facts": facts or {}, "draft": draft})

    async def lint_policy(self, draft: Mapping[str, Any], *, policy_id: str | None = None) -> Json:
        """See `Configuration.lint_policy`."""
        return await self._post(("policies", "lint"), {"draft": draft, "policy_id": policy_id})

    async def policy_coverage(self, policy_id: str) -> list[Json]:
        """See `Configuration.policy_coverage`."""
        found: list[Json] = (await self._read(("policies", policy_id, "coverage")))["rules"]
        return found

    async def diff_policy(self, policy_id: str, version: int, other: int | None = None) -> Json:
        """See `Configuration.diff_policy`."""
        return await self._read(("policies", policy_id, "versions", str(version), "diff"), **{"with": other})

    async def simulate_policies(
        self, *, on_progress: Callable[[Json], object] | None = None, **wanted: Unpack[Simulated]
    ) -> Json:
        """See `Configuration.simulate_policies`."""
        reader = LineReader()
        async with aclosing(self._stream(simulating(wanted))) as chunks:
            async for chunk in chunks:
                for line in reader.feed(chunk):
                    if line["event"] == "result":
                        return line
                    if on_progress is not None:
                        on_progress(line)
        raise reader.broken()

    def _read(self, path: Path, **params: Any) -> Awaitable[Json]:
        return self._run(configuring.read(self._config, path, params))

    def _put(self, path: Path, body: Mapping[str, Any], reason: str | None = None) -> Awaitable[Json]:
        return self._run(configuring.put(self._config, path, body, reason))

    def _post(self, path: Path, body: Mapping[str, Any]) -> Awaitable[Json]:
        return self._run(configuring.post(self._config, path, body))

    def _remove(self, path: Path, reason: str | None = None) -> Awaitable[Json]:
        return self._run(configuring.remove(self._config, path, reason))
