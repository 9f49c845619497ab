"""The memory of prompts: one for a process, fed by its own jobs and by what other processes stored."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.repeats.looks import CLOSE, Look, Place, by_workspace, nearest_first, with_batch
from pipelines.repeats.protocol import Likeness, Near, Neighbors, PromptSource
from pipelines.repeats.texts import compared_text, request_key
from pipelines.repeats.window import Seen, Window, near_in_batch, packed
from synthralos.domain.jobs import Job
from synthralos.domain.prompts import Answered, ComparedPrompt, EarlierPrompt, Match, Wanted
from synthralos.telemetry.outages import Outages

PROMPTS = "earlier prompts"
"""What the log calls them."""

REFRESH_SECONDS = 1.0
"""How often a process looks for what others stored."""

OVERLAP_SECONDS = 5.0
"""So long a transaction may take to show what it stored."""

AWAY_SECONDS = 5.0
"""For so long nobody asks again after the store did not answer."""

_BUDGET, _BUDGET_EACH, _COMPARED = 1_000, 100, 2_000
"""Characters that are compared closely: in a batch, for each prompt of it more, and of one pair at most. A close look
takes about 3 microseconds a character: where all prompts are made from one template, all of them would be looked at."""
_KEPT = 20_000
_KEPT_RESULTS = 5_000
MOST_WORKSPACES, MOST_ROWS = 500, 50_000
"""Workspaces, and prompts of all of them together; who was silent for longest is read anew when it comes back."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was like a prompt. `repeats`: how many earlier ones in the window count as the same."""

    matches: tuple[Match, ...]
    repeats: int


_NOTHING = Sighting((), 0)


class PromptMemory:
    """Thread-safe. What cannot be read while the store is away is not compared with: nothing waits for it."""

    def __init__(
        self,
        source: PromptSource,
        likeness: Likeness,
        outages: Outages,
        *,
        seconds: float,
        most: int,
        clock: Callable[[], float] = time.time,
        stored: Callable[[Place], Neighbors] | None = None,
    ) -> None:
        """Prompts of the last `seconds` count, of each workspace the newest `most`.

        `stored` finds the neighbors of any workspace in the database, beside those in memory; one question a batch.
        """
        self._source, self._likeness, self._outages = source, likeness, outages
        self._seconds, self._most, self._clock = seconds, most, clock
        self._stored = stored
        self._lock = threading.Lock()
        self._windows: OrderedDict[Place, Window] = OrderedDict()
        self._unread: set[Place] = set()
        self._kept: OrderedDict[str, ComparedPrompt] = OrderedDict()
        self._results: OrderedDict[str, Answered] = OrderedDict()
        self._refreshed = self._away_until = 0.0

    def look(self, jobs: Sequence[Job]) -> list[Sighting]:
        """Compare each with earlier ones, those before it in the batch too, and remember it.

        A prompt without any text, an image alone, is like no other.
        """
        sightings: dict[str, Sighting] = {}
        texts = {job.id: compared_text(job.request) for job in jobs}
        for place, each in by_workspace(jobs, texts).items():
            its = [texts[job.id] for job in each]
            prints = [self._likeness.fingerprint(text) for text in its]
            look = Look(each, its, prints, self._likeness.embed(each, its))
            self._look(place, look, sightings)
        return [sightings.get(job.id, _NOTHING) for job in jobs]

    def compared(self, job_id: str) -> ComparedPrompt | None:
        """What is to be kept of a job that was looked at; once."""
        if not self._kept:
            return None
        with self._lock:
            return self._kept.pop(job_id, None)

    def answered(self, jobs: Sequence[Job]) -> Mapping[str, str]:
        """The jobs whose results answer equal requests, by job id. Their results are kept for `reused`."""
        wanted = {job.id: Wanted(job.tenant.organization, job.tenant.workspace, request_key(job)) for job in jobs}
        found = self._asked(lambda: self._source.answered(list(wanted.values()), self._seconds), {})
        answers = {job_id: found[each] for job_id, each in wanted.items() if each in found}
        with self._lock:
            self._results.update(answers)
            while len(self._results) > _KEPT_RESULTS:
                self._results.popitem(last=False)
        return {job_id: answer.job_id for job_id, answer in answers.items()}

    def reused(self, job_id: str) -> dict[str, Any] | None:
        """The result that answers a job; once."""
        with self._lock:
            answer = self._results.pop(job_id, None)
        return None if answer is None else answer.reused()

    def _look(self, workspace: Place, look: Look, sightings: dict[str, Sighting]) -> None:
        now = self._clock()
        stored = [packed(vector.numbers) for vector in look.vectors]
        far = self._far(workspace, look)
        with self._lock:
            window = self._window(workspace, now)
            window.forget_before(now - self._seconds)
            near = self._near(window, look, far)
            # What is asked again, because it was put off, is no repeat of itself.
            equal = [window.equal(each, job.id) for each, job in zip(look.prints, look.jobs, strict=True)]
            window.add(
                Seen(job.id, look.prints[place], look.vectors[place].embedder, stored[place], now)
                for place, job in enumerate(look.jobs)
            )
        same = with_batch(look, equal)
        close = self._close(look, near, [set(ids) for ids, _ in same])
        for place, job in enumerate(look.jobs):
            ids, count = same[place]
            matches = [*(Match(i, 1.0, exact=True) for i in ids), *close[place]]
            found = Sighting(tuple(sorted(matches, key=lambda match: -match.score)[:CLOSE]), count + len(close[place]))
            sightings[job.id] = found
            self._keep(job, self._compared(look, place, stored[place], found))

    def _compared(self, look: Look, place: int, vector: bytes, found: Sighting) -> ComparedPrompt:
        key = request_key(look.jobs[place])
        return ComparedPrompt(look.prints[place], key, look.vectors[place].embedder, vector, found.matches)

    def _far(self, workspace: Place, look: Look) -> list[list[Near]]:
        """The neighbors of each prompt in the database, where they are looked for there."""
        far: list[list[Near]] = [[] for _ in look.jobs]
        if self._stored is None:
            return far
        neighbors = self._stored(workspace)
        for embedder, places, vectors in look.kinds():
            least = self._likeness.nearness(embedder)
            if least is not None:
                found = self._asked(partial(neighbors.nearest, embedder, vectors, CLOSE + 1, least), [])
                for place, each in zip(places, found, strict=False):
                    far[place] = each
        return far

    def _near(self, window: Window, look: Look, far: list[list[Near]]) -> list[list[str]]:
        """The candidates for each prompt: those before it in the batch, then those of the window and the far ones."""
        near: list[list[str]] = [[] for _ in look.jobs]
        for embedder, places, vectors in look.kinds():
            least = self._likeness.nearness(embedder)
            if least is None:
                continue
            before, earlier = near_in_batch(vectors, least), window.nearest(embedder, vectors, CLOSE + 1, least)
            for place, rows, here in zip(places, before, earlier, strict=True):
                found = sorted([*here, *far[place]], key=lambda each: -each.cosine) if far[place] else here
                near[place] = [*(look.jobs[places[row]].id for row in rows), *(each.job_id for each in found)]
        return near

    def _close(self, look: Look, near: list[list[str]], same: list[set[str]]) -> list[list[Match]]:
        """The near ones that count as the same, for each prompt. The nearest are compared first, while time allows."""
        candidates = [
            [i for i in dict.fromkeys(near[place]) if i not in same[place] and i != job.id][:CLOSE]
            for place, job in enumerate(look.jobs)
        ]
        found: list[list[Match]] = [[] for _ in look.jobs]
        if not any(candidates):
            return found
        texts = self._texts_of(look, candidates)
        left = _BUDGET + _BUDGET_EACH * len(look.jobs)
        for place, job_id in nearest_first(candidates):
            text, other = look.texts[place], texts.get(job_id)
            if other is None or left <= 0:
                continue
            left -= min(len(text), len(other), _COMPARED)
            score = self._likeness.same(text, other)
            if score is not None:
                found[place].append(Match(job_id, round(score, 4), exact=False))
        return found

    def _texts_of(self, look: Look, candidates: list[list[str]]) -> dict[str, str]:
        """The texts of this batch, and of the candidates."""
        texts = dict(zip([job.id for job in look.jobs], look.texts, strict=True))
        far = {i for ids in candidates for i in ids if i not in texts}
        found = self._asked(lambda: self._source.requests(far), {}) if far else {}
        return texts | {job_id: compared_text(request) for job_id, request in found.items()}

    def _window(self, workspace: Place, now: float) -> Window:
        """The workspace's window, with what others stored. Under the lock."""
        self._refresh(now)
        window = self._windows.get(workspace)
        if window is None:
            window = self._windows[workspace] = Window(self._most, self._seconds)
            self._unread.add(workspace)
        if workspace in self._unread:
            stored = self._asked(lambda: self._source.recent(*workspace, self._seconds, self._most), None)
            if stored is not None:
                self._unread.discard(workspace)
                window.add(self._rows(stored))
        self._windows.move_to_end(workspace)
        while len(self._windows) > 1 and self._has_too_much():
            self._unread.discard(self._windows.popitem(last=False)[0])
        return window

    def _has_too_much(self) -> bool:
        return len(self._windows) > MOST_WORKSPACES or sum(map(len, self._windows.values())) > MOST_ROWS

    def _refresh(self, now: float) -> None:
        if not self._windows:
            self._refreshed = now
        if now - self._refreshed < REFRESH_SECONDS:
            return
        since = self._refreshed - OVERLAP_SECONDS
        stored = self._asked(lambda: self._source.newer({name for name, _ in self._windows}, since), None)
        if stored is not None:
            self._refreshed = now
            for prompt in stored:
                window = self._windows.get((prompt.organization, prompt.workspace))
                if window is not None:
                    window.add(self._rows([prompt]))

    def _rows(self, stored: Iterable[EarlierPrompt]) -> Iterator[Seen]:
        """Those whose embedders are known, as a window takes them."""
        for each in stored:
            if self._likeness.nearness(each.embedder) is not None:
                yield Seen(each.job_id, each.fingerprint, each.embedder, each.vector, each.at)

    def _keep(self, job: Job, compared: ComparedPrompt) -> None:
        with self._lock:
            self._kept[job.id] = compared
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def _asked(self, question: Callable[[], Any], otherwise: Any) -> Any:
        """What the source answers; `otherwise` while it does not."""
        now = self._clock()
        if now < self._away_until:
            return otherwise
        try:
            answer = question()
        except Exception as error:  # noqa: BLE001 - the edge to a database: jobs go on without what it knows
            self._away_until = now + AWAY_SECONDS
            remedy = "prompts are compared with those of this process alone meanwhile; look at the database"
            self._outages.failed(PROMPTS, f"{type(error).__name__}", remedy)
            return otherwise
        self._outages.works(PROMPTS)
        return answer
