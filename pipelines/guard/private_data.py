"""The private-data guard: flags secrets and personal data, has them replaced before a provider sees them, or denies.

It is the one guard that fails closed: where values must not leave, a job that could not be looked at is denied.
Findings say which kinds were found, how often and where, never the values.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipelines.privacy.find import SHORTEST, find_each
from pipelines.privacy.kinds import SECRETS, WORDS, Found, Kind
from pipelines.privacy.walk import walk
from synthralos.config.config import PrivateDataAction
from synthralos.domain.findings import Decision, Finding, Verdict
from synthralos.domain.jobs import Job, Request
from synthralos.telemetry.context import about

log = logging.getLogger(__name__)

NAME = "private_data"

_SEVERITY: Mapping[PrivateDataAction, int] = {"off": 0, "flag": 1, "redact": 2, "refuse": 3}
_MOST_PATHS = 5
_NOTHING = ("off", "off")
_NO_KINDS = frozenset[Kind]()


class PrivateDataGuard:
    """Looks at every text that is sent. What a job demands of itself counts where it is stricter than the settings."""

    name = NAME

    def __init__(self, secrets: PrivateDataAction, personal: PrivateDataAction) -> None:
        self._secrets, self._personal = secrets, personal

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        """One entry per job; see `Guard.inspect`."""
        actions = [self._actions(job) for job in jobs]
        looked_at = [job for job, action in zip(jobs, actions, strict=True) if action != _NOTHING]
        try:
            found = iter(_look([job.request for job in looked_at]))
        except Exception as error:  # noqa: BLE001 - a bug must let no job pass that is not to go on unseen
            if len(jobs) > 1:
                return [finding for job in jobs for finding in self.inspect([job])]
            return [_failed(jobs[0], max(actions[0], key=_SEVERITY.__getitem__), error)]
        return [None if action == _NOTHING else _finding(next(found), *action) for action in actions]

    def _actions(self, job: Job) -> tuple[PrivateDataAction, PrivateDataAction]:
        """What is done about secrets, and about personal data."""
        demanded = job.constraints.private_data
        return _stricter(self._secrets, demanded), _stricter(self._personal, demanded)


def kinds_to_redact(verdict: Verdict | None) -> frozenset[Kind]:
    """The kinds that the guard said are replaced; none for a job that has none."""
    if verdict is None or not verdict.findings:
        return _NO_KINDS
    names = [n for f in verdict.findings if f.guard == NAME for n in f.signals.get("redacted", ())]
    return frozenset(Kind(name) for name in names)


def redaction_finding(request: Request, kinds: Iterable[str]) -> Finding | None:
    """What is to be said where these kinds have to be replaced; None where the request holds none of them."""
    wanted, [found] = set(kinds), _look([request])
    return found.finding({kind: "redact" for kind in found.counts if str(kind) in wanted})


def _stricter(setting: PrivateDataAction, demanded: PrivateDataAction | None) -> PrivateDataAction:
    return setting if demanded is None else max(setting, demanded, key=_SEVERITY.__getitem__)


def _look(requests: Sequence[Request]) -> "list[_Sightings]":
    """What each request holds; all of their texts are searched at once."""
    sightings = [_Sightings() for _ in requests]
    for request, seen in zip(requests, sightings, strict=True):
        walk(request, seen)
    found = iter(find_each([text for seen in sightings for text in seen.texts]))
    for seen in sightings:
        seen.count(found)
    return sightings


def _finding(found: "_Sightings", secrets: PrivateDataAction, personal: PrivateDataAction) -> Finding | None:
    treated = {kind: secrets if kind in SECRETS else personal for kind in found.counts}
    return found.finding({kind: treatment for kind, treatment in treated.items() if treatment != "off"})


def _failed(job: Job, action: PrivateDataAction, error: Exception) -> Finding:
    """What becomes of a job that could not be searched; raises the error where its values may leave anyway."""
    if _SEVERITY[action] < _SEVERITY["redact"]:
        raise error
    log.error("job %s could not be searched for private data", job.id, exc_info=error, extra=about(job))
    return _unseen(error)


def _unseen(error: Exception) -> Finding:
    reason = "this job could not be searched for private data, which must not leave: tell the operator"
    return Finding(NAME, Decision.DENY, reason, signals={"error": type(error).__name__})


class _Sightings:
    """A visitor that keeps the texts and where they are, changes nothing, and counts what is found in them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._places: list[tuple[str, bool]] = []
        self.counts: Counter[Kind] = Counter()
        self._paths: dict[Kind, dict[str, None]] = {}
        self._fixed: dict[Kind, str] = {}

    def free(self, text: str, path: str) -> str:
        if len(text) >= SHORTEST:
            self.texts.append(text)
            self._places.append((path, True))
        return text

    def fixed(self, text: str, path: str) -> None:
        if len(text) >= SHORTEST:
            self.texts.append(text)
            self._places.append((path, False))

    def count(self, found: Iterator[list[Found]]) -> None:
        """Take what was found in each text, in their order."""
        for (path, free), values in zip(self._places, found, strict=False):
            for value in values:
                self.counts[value.kind] += 1
                self._paths.setdefault(value.kind, {})[path] = None
                if not free:
                    self._fixed.setdefault(value.kind, path)

    def finding(self, treated: Mapping[Kind, PrivateDataAction]) -> Finding | None:
        """What is to be said of the kinds that are `treated`; None where none was found."""
        if not treated:
            return None
        refused = [kind for kind in treated if treated[kind] == "refuse"]
        stuck = [kind for kind in treated if treated[kind] == "redact" and kind in self._fixed]
        redacted = [kind for kind in treated if treated[kind] == "redact"]
        paths = list(dict.fromkeys(path for kind in (refused or stuck or treated) for path in self._paths[kind]))
        signals = {
            "kinds": {str(kind): self.counts[kind] for kind in treated},
            "fields": paths[:_MOST_PATHS],
            "redacted": [str(kind) for kind in redacted],
        }
        field = self._fixed[stuck[0]] if stuck and not refused else paths[0]
        decision = Decision.DENY if refused or stuck else Decision.FLAG
        return Finding(NAME, decision, self._reason(treated, refused, stuck, redacted, field), field, signals=signals)

    def _reason(
        self,
        treated: Mapping[Kind, PrivateDataAction],
        refused: Sequence[Kind],
        stuck: Sequence[Kind],
        redacted: Sequence[Kind],
        field: str,
    ) -> str:
        if refused:
            return f"{field} holds {self._words(refused)}, which must not be sent: remove what is private"
        if stuck:
            return (
                f"{field} holds {self._words(stuck)} where nothing can be replaced (a name, an id, an enum, an "
                "address): remove it there"
            )
        flagged = [kind for kind in treated if kind not in redacted]
        told = [f"{self._words(redacted)}, replaced before a provider sees the request"] if redacted else []
        return f"the request holds {'; and '.join([*told, *([self._words(flagged)] if flagged else [])])}"

    def _words(self, kinds: Sequence[Kind]) -> str:
        each = [WORDS[k][0] if self.counts[k] == 1 else f"{self.counts[k]} {WORDS[k][1]}" for k in kinds]
        return " and ".join(filter(None, [", ".join(each[:-1]), each[-1]]))
