"""The guard of similar prompts: which earlier prompts of the tenant a prompt is like, and whose result answers it."""

from collections.abc import Mapping, Sequence

from pipelines.repeats.memory import PromptMemory, Sighting
from synthralos.config.config import Config
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.flags import Flag
from synthralos.domain.jobs import Job


class SimilarPromptsGuard:
    """Works where the flag `enable_similarity_logging` is on for the organization."""

    name = "similar_prompts"

    def __init__(self, config: Config, memory: PromptMemory | None) -> None:
        """Without a memory it sees nothing."""
        self._flags = config.flags
        self._actions = config.guards
        self._memory = memory

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        """One entry per job; see `Guard.inspect`."""
        on = self._flags.on
        seen = [job for job in jobs if on(Flag.ENABLE_SIMILARITY_LOGGING, job.tenant.organization)]
        if self._memory is None or not seen:
            return [None] * len(jobs)
        sightings = dict(zip([job.id for job in seen], self._memory.look(seen), strict=True))
        reusing = [job for job in seen if job.constraints.reuse == "allow"]
        answered = self._memory.answered(reusing) if reusing else {}
        return [self._finding(job, sightings.get(job.id), answered) for job in jobs]

    def _finding(self, job: Job, sighting: Sighting | None, answered: Mapping[str, str]) -> Finding | None:
        if sighting is None:
            return None
        signals = {"matches": [match.to_json() for match in sighting.matches], "repeats": sighting.repeats}
        earlier = answered.get(job.id)
        if earlier is not None:
            reason = f"the result of job {earlier} answers this equal request, as constraints.reuse allows"
            return Finding(self.name, Decision.REUSE, reason, "messages", signals={**signals, "job_id": earlier})
        if not sighting.repeats:
            return None
        best = sighting.matches[0]
        times = "once" if sighting.repeats == 1 else f"{sighting.repeats} times"
        reason = f"the prompt was asked {times} before, best matched by job {best.job_id} ({best.score:.2f})"
        decision = self._decision(sighting.repeats)
        if decision is Decision.DENY:
            reason += f": more than {self._actions.similar_deny_after} repeats are refused (SIMILAR_DENY_AFTER)"
        return Finding(self.name, decision, reason, "messages", signals=signals)

    def _decision(self, repeats: int) -> Decision:
        action = self._actions.similar_prompts
        if action == "deny" and repeats > self._actions.similar_deny_after:
            return Decision.DENY
        return Decision.ALLOW if action == "log" else Decision.FLAG
