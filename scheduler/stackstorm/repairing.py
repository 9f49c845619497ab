"""The leader's rounds over open repairs: each is started once, followed to its end, and its job let go on.

An incident goes on by what the monitor reads of its repair.
What kills the leader leaves a repair `asked` or `started`. Whoever leads next looks in StackStorm for an execution with
the repair's tag before it starts one, and follows what is there.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from scheduler.stackstorm.breaking import LinkBreaker
from scheduler.stackstorm.link import TOLD, Execution, Failed, StackStormLink, Stopped
from synthralos.config.config import Config
from synthralos.domain.flags import Flag, Flags
from synthralos.domain.repairs import Repair, RepairKind, RepairState
from synthralos.domain.residency import kept_from
from synthralos.store.admin.incidents import MONITOR
from synthralos.store.queue.repair_rows import Following
from synthralos.store.queue.repairs import Ended, Repairs
from synthralos.telemetry.families import REPAIR_SECONDS, REPAIRS
from synthralos.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

MOST = 500
"""Open repairs of one round: the oldest."""

AT_ONCE = 4
"""Calls to StackStorm at once."""

BEGUN_WITHIN = 5.0
"""Seconds after which a job does not wait any longer for others' executions to end, so that its own may begin."""

_BY_THEMSELVES = ("heal", MONITOR)
"""Who asks because a job or an incident waits for it."""

_TOLD = ("outcome", "state", "attempts", "retried", "detail")
_MOST_TOLD = 500


@dataclass(frozen=True, slots=True)
class Bounds:
    """`executions` of ours at once; each is followed for `follow` seconds."""

    executions: int
    follow: float


class Repairing:
    """`round` after round, by whoever leads. One thread calls it; the calls to StackStorm are made by a few."""

    def __init__(
        self,
        repairs: Repairs,
        link: StackStormLink,
        breaker: LinkBreaker,
        config: Callable[[], Config],
        bounds: Bounds,
        leads: Callable[[], bool],
        tell: Callable[[Ended], None],
        metrics: Metrics | None = None,
    ) -> None:
        """`tell` makes known that a repair is over, and rings for its job where that goes on."""
        self._repairs, self._link, self._breaker, self._config = repairs, link, breaker, config
        self._bounds, self._leads, self._tell = bounds, leads, tell
        metrics = metrics or Metrics()
        self._counts, self._seconds = metrics.counters(REPAIRS), metrics.histograms(REPAIR_SECONDS)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stackstorm")
        self.busy = False
        """Whether the last round left anything open, or StackStorm gets no calls."""

    def round(self) -> bool:
        """Take each open repair a step further; False: this process does not lead."""
        if not self._leads():
            self.busy = False
            return False
        try:
            self._breaker.look(self._link.ping)
            found = self._repairs.following(MOST)
            self.busy = bool(found) or self._breaker.shut is not None
            started = [each for each in found if each.repair.state is RepairState.STARTED]
            asked = [each for each in found if each.repair.state is RepairState.ASKED]
            room = max(0, self._bounds.executions - len(started))
            self._all(self._follow, started)
            self._all(self._begin, asked[:room])
            self._all(self._crowded_out, asked[room:])
        except Stopped:
            return False
        return True

    def close(self) -> None:
        """Give the threads back; the link is stopped before."""
        self._pool.shutdown(wait=True)

    def _all(self, step: Callable[[Following], None], some: Sequence[Following]) -> None:
        list(self._pool.map(lambda each: step(each) if self._leads() else None, some))

    def _begin(self, following: Following) -> None:
        repair = following.repair
        why = self._why_not(following)
        if why is not None:
            state, reason = why
            self._end(repair, state, reason)
            return
        found = self._called(self._link.find(repair.tag, repair.workflow))
        if found is None:
            execution = self._called(self._link.start(repair.workflow, repair.sent, repair.tag))
            found = execution if isinstance(execution, Failed) else execution.id
        if isinstance(found, Failed):
            self._end(repair, RepairState.FAILED, f"it was not started: {TOLD[found.trouble]}")
        elif self._repairs.started(repair.id, found):
            self._counts[str(repair.kind), str(RepairState.STARTED)].inc()
        else:
            self._link.cancel(found)

    def _why_not(self, following: Following) -> tuple[RepairState, str] | None:
        """Why it is not to be started: how it ends, and why; None: it is."""
        repair, config = following.repair, self._config()
        terms = config.stackstorm
        if repair.asked_by in _BY_THEMSELVES and not following.awaited:
            return RepairState.CANCELLED, _gone_on(repair)
        if not _has_stackstorm(config.flags, repair):
            return RepairState.CANCELLED, "enable_stackstorm was switched off"
        kept = kept_from(following.classification, None if terms is None else terms.residency)
        if kept is not None:
            return RepairState.CANCELLED, "its data may not be told StackStorm: see STACKSTORM_RESIDENCY"
        if self._breaker.shut is not None:
            return RepairState.FAILED, "StackStorm gets no calls now: its breaker is open"
        if following.awaited and following.now >= repair.until:
            return RepairState.FAILED, "it was not begun in time (STACKSTORM_PATIENCE)"
        return None

    def _crowded_out(self, following: Following) -> None:
        repair = following.repair
        if (following.now - repair.asked_at).total_seconds() >= BEGUN_WITHIN:
            said = f"StackStorm has {self._bounds.executions} executions of ours under way (STACKSTORM_EXECUTIONS)"
            self._end(repair, RepairState.FAILED, said)

    def _follow(self, following: Following) -> None:
        repair = following.repair
        if self._breaker.shut is not None:
            if following.awaited:
                self._end(repair, RepairState.FAILED, "StackStorm gets no calls now: its breaker is open")
            return
        late = self._late(following)
        if late is not None:
            self._end(repair, *late)
            self._link.cancel(repair.execution_id or "")
            return
        found = self._called(self._link.look(repair.execution_id or ""))
        if found is None:
            self._end(repair, RepairState.FAILED, "StackStorm knows no such execution (any more)")
        elif isinstance(found, Execution) and found.ended:
            self._settle(following, found)

    def _late(self, following: Following) -> tuple[RepairState, str] | None:
        """Why it is followed no longer: how it ends, and why."""
        repair, now = following.repair, following.now
        begun = repair.started_at or repair.asked_at
        if (now - begun).total_seconds() >= self._bounds.follow:
            return RepairState.FAILED, f"it did not end within {self._bounds.follow:g} seconds (STACKSTORM_FOLLOW)"
        if following.awaited and now >= repair.until:
            return RepairState.FAILED, "it did not act in time (STACKSTORM_PATIENCE)"
        moved = repair.acted_at is None and not following.awaited and repair.kind is not RepairKind.RECOVER
        if moved and repair.asked_by in _BY_THEMSELVES:
            return RepairState.CANCELLED, _gone_on(repair)
        return None

    def _settle(self, following: Following, execution: Execution) -> None:
        told = _told(execution)
        detail = told.get("detail") or told.get("outcome") or ""
        said = f"the execution {execution.status}" + (f": {detail}" if detail else "")
        if execution.status == "succeeded":
            state = RepairState.SUCCEEDED
        else:
            state = RepairState.CANCELLED if execution.status == "canceled" else RepairState.FAILED
        self._end(following.repair, state, said, {"status": execution.status, **told})

    def _called(self, answer: Any) -> Any:
        failed = answer if isinstance(answer, Failed) else None
        if failed is not None:
            log.warning("a call to StackStorm came to nothing (%s): %s", failed.trouble, failed.detail)
        self._breaker.ended(failed)
        return answer

    def _end(self, repair: Repair, state: RepairState, outcome: str, result: dict[str, Any] | None = None) -> None:
        ended = self._repairs.end(repair.id, state, outcome, result)
        if ended is None:
            return
        after = ended.repair
        self._counts[str(after.kind), str(after.state)].inc()
        if after.ended_at is not None:
            self._seconds[(str(after.kind),)].observe((after.ended_at - after.asked_at).total_seconds())
        self._tell(ended)


def _gone_on(repair: Repair) -> str:
    return "the incident is over" if repair.kind is RepairKind.INCIDENT else "the job went on without it"


def _has_stackstorm(flags: Flags, repair: Repair) -> bool:
    """Whether the flag is on for whom the repair concerns; what concerns the installation, for anybody."""
    flag = Flag.ENABLE_STACKSTORM
    return flags.on(flag, repair.organization) if repair.organization else flags.anywhere(flag)


def _told(execution: Execution) -> dict[str, Any]:
    """What is kept of what a workflow told: plain values of the members that ours have."""
    found = {name: execution.output.get(name) for name in _TOLD}
    return {
        name: value[:_MOST_TOLD] if isinstance(value, str) else value
        for name, value in found.items()
        if isinstance(value, str | int | float)
    }
