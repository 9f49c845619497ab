"""What people and programs do to jobs, whole: done and recorded in the store, rung for, told, counted.

The API's routes use it, one job at a time or many. Whoever acts on jobs by itself later uses it too.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from synthralos.broker.protocol import Doorbell
from synthralos.bus.protocol import Bus, Topic
from synthralos.control.ringing import Place, ring_for
from synthralos.domain.scope import Scope
from synthralos.domain.states import Lane, State, Transition
from synthralos.store.queue.operations import Changed, Operations, Refused

Outcome = Changed | Refused | None
"""None: there is no such job within the scope."""


class Actor(NamedTuple):
    """Who acts, on what may be seen, and why. `name` goes on record. `repair_id`: the repair that acts, if one does."""

    name: str
    scope: Scope
    reason: str = ""
    repair_id: str | None = None


_TOPICS = {
    Transition.CANCEL: (Topic.CLAIM_REVOKED, Topic.FINISHED),
    Transition.RETRY: (Topic.CHANGED,),
    Transition.REROUTE: (Topic.CLAIM_REVOKED, Topic.CHANGED),
}
"""Who is told: the worker whose claim was revoked, and those who wait."""


class Operator:
    """Each operation is durable before anybody is rung or told. Blocks; raises what the store raises. Thread-safe."""

    def __init__(
        self,
        operations: Operations,
        doorbell: Doorbell,
        bus: Bus,
        ended: Callable[[Lane, State], None] = lambda lane, state: None,
    ) -> None:
        """`ended` is told of each job that an operation ended."""
        self._operations = operations
        self._doorbell = doorbell
        self._bus = bus
        self._ended = ended

    def cancel(self, job_ids: Sequence[str], actor: Actor) -> list[Outcome]:
        """Call the jobs off, one after the other; what became of each, in order."""
        cancel = self._operations.cancel
        return self._each(Transition.CANCEL, job_ids, lambda i: cancel(i, actor.scope, actor.name, actor.reason))

    def retry(self, job_ids: Sequence[str], actor: Actor) -> list[Outcome]:
        """Send dead, denied, cancelled or expired jobs through again from the start; what became of each, in order."""
        retry, by = self._operations.retry, (actor.scope, actor.name, actor.reason, actor.repair_id)
        return self._each(Transition.RETRY, job_ids, lambda i: retry(i, *by))

    def reroute(self, job_id: str, actor: Actor, changes: dict[str, Any]) -> Outcome:
        """Have the job routed anew with `changes` (keys of `Constraints.to_json`)."""
        reroute = self._operations.reroute
        [outcome] = self._each(
            Transition.REROUTE,
            [job_id],
            lambda i: reroute(i, actor.scope, actor.name, changes, actor.reason, actor.repair_id),
        )
        return outcome

    def _each(self, transition: Transition, job_ids: Sequence[str], act: Callable[[str], Outcome]) -> list[Outcome]:
        """What is done is announced, also where the store fails in the middle."""
        outcomes: list[Outcome] = []
        try:
            outcomes.extend(act(job_id) for job_id in job_ids)  # what came before an error stays in the list
        finally:
            self._announce(transition, [outcome for outcome in outcomes if isinstance(outcome, Changed)])
        return outcomes

    def _announce(self, transition: Transition, changed: Sequence[Changed]) -> None:
        places: list[Place] = [(c.work_item.stage, c.work_item.lane, c.work_item.id) for c in changed]
        if transition is Transition.CANCEL:
            for _, lane, _ in places:
                self._ended(lane, State.CANCELLED)
        ring_for(self._doorbell, places)
        for topic in _TOPICS[transition]:
            self._bus.publish(topic, [job_id for _, _, job_id in places])
