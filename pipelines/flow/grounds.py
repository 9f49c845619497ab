"""The grounds of calls under one configuration: made once for all jobs that are alike, because every call asks."""

from synthralos.config.config import Config
from synthralos.domain.evidence import FLAGS_THAT_MATTER, Grounds, said_in
from synthralos.domain.findings import PASSED, Verdict
from synthralos.domain.jobs import Job

_REMEMBERED = 4_096


class CallGrounds:
    """Tells the grounds of a job's next call. Lives on one event loop."""

    def __init__(self, config: Config) -> None:
        self._version = config.version
        self._on = config.flags.on
        self._flags: dict[str, tuple[bool, ...]] = {}
        self._known: dict[object, Grounds] = {}

    def of(self, job: Job) -> Grounds:
        """The grounds of a job that was routed."""
        wanted, plan, verdict = job.constraints, job.plan, job.verdict or PASSED
        assert plan is not None
        flags = self._flags_of(job.tenant.organization)
        judged = None if verdict is PASSED else (verdict.decision, said_in(verdict), verdict.overlay)
        alike = (plan.key, wanted.classification, wanted.region, wanted.zero_retention, flags, judged)
        return self._known.get(alike) or self._made(alike, job, verdict, flags)

    def _made(self, alike: object, job: Job, verdict: Verdict, flags: tuple[bool, ...]) -> Grounds:
        wanted, plan = job.constraints, job.plan
        assert plan is not None
        if len(self._known) >= _REMEMBERED:
            self._known = {}
        made = self._known[alike] = Grounds(
            plan.key,
            self._version,
            wanted.classification,
            wanted.region,
            wanted.zero_retention,
            verdict.decision,
            said_in(verdict),
            verdict.overlay,
            flags,
        )
        return made

    def _flags_of(self, organization: str) -> tuple[bool, ...]:
        known = self._flags.get(organization)
        if known is None:
            if len(self._flags) >= _REMEMBERED:
                self._flags = {}
            known = self._flags[organization] = tuple(self._on(flag, organization) for flag in FLAGS_THAT_MATTER)
        return known
