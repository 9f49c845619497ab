"""A worker and a leader's link to StackStorm, on one core, and workflows that act as those of the pack do."""

from collections.abc import Callable
from typing import Any

from scheduler.stackstorm.link import build_link
from scheduler.stackstorm.task import StackStormTask
from synthralos.bus.protocol import Topic
from synthralos.control.leader import ROLE
from synthralos.control.operator import Actor, Operator
from synthralos.core import Core
from synthralos.domain.breakers import BreakerState
from synthralos.domain.repairs import Repair
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.processes import Leadership
from synthralos.store.queue.leading import Lead
from synthralos.store.queue.operations import Operations
from synthralos.store.queue.repairs import RepairFilter, Repairs
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer
from tests.fakes.stackstorm_link import KEY, Execution, FakeStackStorm
from tests.integration.worker_place import WorkerPlace, deployments_at

NO_CALLS = Answer(401, {"error": {"message": "no such key", "code": "invalid_api_key"}})
"""What heals by itself nowhere: the next remedy is StackStorm."""

BREAKER, BREAKERS = "stackstorm", Topic.BREAKERS


class Site:
    """One worker, and a leader's link to StackStorm, on one core."""

    def __init__(self, place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm, **more: Any) -> None:
        self.place, self.fake = place, fake
        settings = {
            "stackstorm_api_url": fake.url, "stackstorm_api_key": KEY, "enable_stackstorm": True,
            "stackstorm_timeout": 10.0, **more,
        }  # fmt: skip
        flags = settings.pop("flags", None)
        self.core: Core = place.core(deployments_at(f"{provider.url}/v1", "a"), flags=flags, **settings)
        place.start(self.core)
        self.repairs = Repairs(place.store.database)
        self.leads = True
        self._process = place.store.processes.register("scheduler")
        self._leadership = Leadership(place.store.database, ROLE, self._process, 60.0)

    def _lead(self) -> Lead | None:
        term = self._leadership.campaign() if self.leads else None
        return None if term is None else Lead(ROLE, self._process, term)

    def leader(self) -> StackStormTask:
        """The leader's task, running from now on."""
        link = build_link(self.core.settings)
        assert link is not None
        task = StackStormTask(self.core, link, self._lead, lambda: self._process, busy=0.05)
        task.start()
        self.place.at_end(task.stop)
        return task

    def asked(self, job_id: str) -> Repair:
        """The job's repair, when it waits for it."""
        self.place.reaches(job_id, State.PARKED)
        [repair] = self.repairs.page(RepairFilter(job_id=job_id), EVERYTHING, 10)
        return repair

    def ended(self, job_id: str) -> Repair:
        """The job's one repair, when that is over."""
        found: list[Repair] = []

        def over() -> bool:
            found[:] = self.repairs.page(RepairFilter(job_id=job_id), EVERYTHING, 10)
            return bool(found) and all(each.ended_at is not None for each in found)

        self.place.heard.until(over)
        [repair] = found
        return repair

    def operator(self) -> Operator:
        return Operator(Operations(self.place.store.database), self.core.doorbell, self.core.bus)

    def shut(self) -> None:
        """Return when StackStorm's breaker is open, and the worker knows."""
        store = BreakerStore(self.place.store.database)
        self.place.heard.until(
            lambda: (found := store.get(BREAKER)) is not None and found.state is not BreakerState.CLOSED
        )


def recovered(_: Asked) -> Answer:
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    message = {"role": "assistant", "content": "Paris"}
    return Answer(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


def acting(site: Site, act: Callable[[Execution], bool]) -> Callable[[Execution], tuple[str, dict[str, Any]]]:
    """A workflow that acts and then watches the job to its end, as those of the pack do."""

    def workflow(execution: Execution) -> tuple[str, dict[str, Any]]:
        job_id = execution["parameters"]["job_id"]
        if not act(execution):
            return "failed", {"outcome": "error", "detail": "the job cannot be moved"}
        [state] = site.place.finished(job_id)
        done = state == State.SUCCEEDED
        told = {"outcome": "recovered" if done else "not_recovered", "state": state, "attempts": 2, "secret": KEY}
        return "succeeded" if done else "failed", told

    return workflow


def retried(site: Site) -> Callable[[Execution], bool]:
    def act(execution: Execution) -> bool:
        given = execution["parameters"]
        actor = Actor("key:pack", EVERYTHING, "StackStorm execution 1", given["repair_id"])
        [outcome] = site.operator().retry([given["job_id"]], actor)
        return type(outcome).__name__ == "Changed"

    return act
