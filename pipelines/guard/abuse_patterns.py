"""The guard of abuse patterns: says which known pattern of abuse a prompt has a part that reads like."""

import logging
from collections.abc import Sequence

from pipelines.guard.abuse.model import load_model
from pipelines.guard.abuse.patterns import Likeness, PatternIndex
from pipelines.guard.abuse.reading import Read, Reader
from pipelines.weights import WeightsError
from synthralos.config.config import Config
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.jobs import Job

log = logging.getLogger(__name__)


class AbusePatternsGuard:
    """Flags, or denies, as the abuse guard does. The system's own messages are not looked at.

    A finding names the pattern, never its text: it may be another one's secret.
    """

    name = "abuse_patterns"

    def __init__(self, config: Config, reader: Reader | None = None) -> None:
        """`reader` may be shared with the abuse guard. Where its weights are damaged, that guard says so."""
        self._decision = Decision.DENY if config.guards.abuse == "deny" else Decision.FLAG
        self._reader = reader or Reader()
        self._index: PatternIndex | None = None
        if config.guards.abuse != "off" and any(config.patterns.values()):
            try:
                self._index = PatternIndex(config.patterns, load_model().rarity)
            except WeightsError as error:
                log.error("no prompt is held against abuse patterns: %s", error)

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        """One entry per job; see `Guard.inspect`."""
        if self._index is None:
            return [None] * len(jobs)
        organizations = [job.tenant.organization for job in jobs]
        findings: list[Finding | None] = []
        for found in self._reader.of(jobs):
            findings += self._inspect(self._index, found, organizations[len(findings) :][: len(found.texts)])
        return findings

    def _inspect(self, index: PatternIndex, found: Read, organizations: Sequence[str]) -> list[Finding | None]:
        likest = index.likest(found.grams, organizations)
        return [None if likeness is None else self._finding(likeness) for likeness in likest]

    def _finding(self, likeness: Likeness) -> Finding:
        pattern, score = likeness
        reason = (
            f"a part of the prompt reads like the known abuse {pattern.name!r} ({pattern.kind}): rewrite it, or ask "
            "the operator about ABUSE_PATTERNS"
        )
        signals = {"pattern": pattern.name, "kind": pattern.kind, "score": round(score, 3)}
        return Finding(self.name, self._decision, reason, "messages", signals={**signals, "limit": pattern.threshold})
