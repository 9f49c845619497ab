"""Workers over a real database, a broker of their own, and a provider: what tests of whole jobs are made of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import Any

from pipelines.flow.stages import BuildStages
from synthralos.broker.brokers import build_broker
from synthralos.broker.doorbell import BrokerDoorbell
from synthralos.bus.build import build_bus
from synthralos.config.catalog import load_catalog
from synthralos.config.config import Config
from synthralos.config.credentials import Credentials
from synthralos.config.settings import Settings
from synthralos.config_maker import repair_terms
from synthralos.core import Core, direct_rings
from synthralos.domain.budgets import NO_BUDGETS, Budgets
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.flags import Flags
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import NewJob
from synthralos.domain.limits import DEFAULT_LIMITS, PlanLimits
from synthralos.domain.money import Price
from synthralos.domain.policies import PolicySet
from synthralos.domain.run_caps import RunCaps
from synthralos.domain.states import TERMINAL, Lane, Stage, State
from synthralos.live_config import LiveConfig
from tests.fakes.heard import Heard
from tests.fakes.jobs import new_job
from tests.fakes.stores import Store
from workers.embedded import EmbeddedWorker


class WorkerPlace:
    """One database and its bus, and workers on it, each on a core with a broker of its own.

    A memory broker reaches only its own worker; `ring` and `submit` ring at the worker that was started last.
    """

    def __init__(self, store: Store, stack: ExitStack) -> None:
        self.store = store
        self.bus = build_bus(store.database)
        self.heard = Heard(store.database, self.bus)
        self._stack = stack
        self._cores: list[Core] = []
        self._running: list[EmbeddedWorker] = []
        stack.callback(self.bus.close)

    def worker(self, catalog: Catalog | None = None, **settings: Any) -> EmbeddedWorker:
        """One more worker, running; stopped at the end of the test, if not before."""
        return self.start(self.core(catalog, **settings))

    def start(self, core: Core, build: BuildStages | None = None) -> EmbeddedWorker:
        """A worker on `core`, running; `build`: see `WorkerRuntime`."""
        worker = EmbeddedWorker(core, build)
        worker.start()
        self._running.append(worker)
        self._stack.callback(self.stop, worker)
        return worker

    def at_end(self, call: Callable[[], object]) -> None:
        """Call this at the end of the test, after what is added later has stopped."""
        self._stack.callback(call)

    def stop(self, worker: EmbeddedWorker) -> None:
        """Stop the worker, if it runs."""
        if worker in self._running:
            self._running.remove(worker)
            worker.stop()

    def core(
        self,
        catalog: Catalog | None = None,
        limits: Mapping[str, PlanLimits] = DEFAULT_LIMITS,
        policies: tuple[PolicySet, ...] = (),
        flags: Flags | None = None,
        budgets: Budgets = NO_BUDGETS,
        run_caps: Sequence[RunCaps] = (),
        **settings: Any,
    ) -> Core:
        """A core on the place's database and bus."""
        url = self.store.database.url.render_as_string(hide_password=False)
        chosen = Settings(**{"database_url": url, "sandbox": "on", "worker_threads": 4, **settings})
        catalog = catalog or load_catalog(None)
        broker = build_broker(chosen.broker_url, chosen.broker_namespace, [])
        doorbell = BrokerDoorbell(broker, chosen.broker_namespace)
        credentials = Credentials.from_settings(chosen, {}, catalog)
        flags = flags or Flags(overrides=chosen.flag_overrides)
        caps = {each.key: each for each in run_caps}
        terms = repair_terms(chosen)
        config = Config(
            catalog, credentials, flags, limits, policies=policies, budgets=budgets, run_caps=caps, stackstorm=terms
        )
        live = LiveConfig(config)
        direct = direct_rings(self.store.database, chosen)
        core = Core(chosen, self.store.database, self.bus, broker, doorbell, live, direct=direct)
        self._stack.callback(broker.close)
        self._stack.callback(doorbell.close, 2.0)
        self._cores.append(core)
        return core

    def submit(self, *jobs: NewJob, lane: Lane = Lane.BULK) -> list[str]:
        """Accept the jobs and ring for them."""
        job_ids = self.store.submit(*jobs)
        self.ring(Stage.GUARD, *job_ids, lane=lane)
        return job_ids

    def ring(self, stage: Stage, *job_ids: str, lane: Lane = Lane.BULK) -> None:
        """Ring at the worker that was started last."""
        self._cores[-1].doorbell.ring(stage, lane, job_ids)

    def finished(self, *job_ids: str) -> list[str]:
        """Wait for the end of the jobs; their states."""
        self.heard.until(lambda: all(self.store.state(job_id) in TERMINAL for job_id in job_ids))
        return [self.store.state(job_id) for job_id in job_ids]

    def reaches(self, job_id: str, state: State) -> None:
        """Wait until the job is in that state."""
        self.heard.until(lambda: self.store.state(job_id) == state)

    def run(self, *jobs: NewJob) -> dict[str, Any]:
        """Bring jobs to their end; the row of the first."""
        first, *others = self.submit(*jobs)
        self.finished(first, *others)
        return self.store.job(first)

    def wake(self, job_id: str) -> None:
        """Let the time of a parked job come, and ring for it as the sweeper does."""
        self.store.backdate(job_id, run_at=1)
        [step] = self.store.sweeps.wake_due()
        self.ring(step.stage, step.id)


@contextmanager
def worker_place(store: Store) -> Iterator[WorkerPlace]:
    """A place on the store's database; its workers are stopped at the end."""
    with ExitStack() as stack:
        yield WorkerPlace(store, stack)


def everybody_left(worker: EmbeddedWorker) -> None:
    """Wait until every slot of the worker is free again."""
    slots = worker.runtime.slots
    lease = slots.acquire(Lane.INTERACTIVE, slots.count, 60)
    assert lease is not None
    lease.give_back()


def somebody_left(worker: EmbeddedWorker) -> None:
    """Wait until a slot of the worker is free for a bulk job."""
    lease = worker.runtime.slots.acquire(Lane.BULK, 1, 60)
    assert lease is not None
    lease.give_back()


def deployments_at(base_url: str, *names: str, **more: Any) -> Catalog:
    """Deployments `fake/NAME@us` at a server that speaks OpenAI's protocol, each dearer than the one before."""
    return Catalog(
        [
            Deployment(
                id=f"fake/{name}@us", provider="fake", model=name, region="us", adapter="openai", upstream_model=name,
                base_url=base_url, context_window=128_000, max_output=4_000,
                price=Price(Decimal(number), Decimal(2 * number)), **more,
            )
            for number, name in enumerate(names, 1)
        ]
    )  # fmt: skip


def ordered(*told: str | None, **options: Any) -> NewJob:
    """A job whose attempts fail at the sandbox as told, one class (or None) per attempt."""
    return new_job(f"Hello {new_id()}", provider_options={"sandbox": {"failures": list(told), **options}})
