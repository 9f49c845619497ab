"""Prompt-cache affinity: jobs that begin alike go to one deployment, where the provider may have read the beginning.

A deployment never costs more for it: among those that cost the same one is drawn by rendezvous hashing, so that all
workers agree without a word; and one whose answers of the last minutes did read this organization's beginning from the
cache counts at the cached price. It chooses among what passed every filter, and sees nothing else. Strategies that
promise more than the cost have the candidates `favored`: cached prices and draws decide there where cost does.
Source: "Prompt caching" of OpenAI, Anthropic and Gemini: whole beginnings of 1,024 tokens or more, kept for 5 minutes.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

import orjson

from pipelines.route.prices import UNKNOWN
from pipelines.route.protocol import Candidates, Columns
from pipelines.tokens import BYTES_PER_TOKEN
from synthralos.domain.jobs import Request
from synthralos.domain.money import Usage
from synthralos.domain.plans import Step
from synthralos.domain.prompt_caches import PromptCache

LEAST_TOKENS = 1_024
"""Providers cache no shorter beginning."""

KEPT_SECONDS = 300.0

_LEAST_BYTES = LEAST_TOKENS * BYTES_PER_TOKEN
_MOST_BYTES = 4 * _LEAST_BYTES
"""Of a longer message its beginning is hashed: caches hold beginnings, and hashing has to cost nothing."""

_MOST_ORGANIZATIONS = 256
_MOST_PREFIXES = 256
_MOST_DEPLOYMENTS = 2
_MOST_RIVALS = 64
_ANSWERS_KEPT = 256


class Prefix(NamedTuple):
    """How a prompt begins. `tokens` are about those of the beginning, rounded down so that plans stay alike."""

    key: bytes
    tokens: int


def prefix_of(request: Request) -> Prefix | None:
    """The tools and as many whole messages from the first as are long enough to be cached; None: all are too short."""
    digest, size = sha256(), 0
    for piece in _pieces(request):
        part = piece[: _MOST_BYTES - size]
        digest.update(b"%d:" % len(part) + part)
        size += len(part)
        if size >= _LEAST_BYTES:
            tokens = size // BYTES_PER_TOKEN
            shift = tokens.bit_length() - 2
            return Prefix(digest.digest()[:16], tokens >> shift << shift)
    return None


def _pieces(request: Request) -> Iterator[bytes]:
    """Tools and schema together, then each message. An image ends what is alike."""
    if given := [request.body[name] for name in ("tools", "response_format") if request.body.get(name)]:
        yield orjson.dumps(given)
    for message in request.messages:
        texts = _texts(message.get("content"))
        if texts is None:
            return
        said = "\0".join((str(message.get("role")), *(text[:_MOST_BYTES] for text in texts)))
        calls = message.get("tool_calls")
        yield said.encode("utf-8", "surrogatepass") + (orjson.dumps(calls) if calls else b"")


def _texts(content: Any) -> Sequence[str] | None:
    """The texts of a message; None where it has anything else."""
    if not isinstance(content, list):
        return [content] if isinstance(content, str) else []
    texts = [part["text"] for part in content if part.get("type") == "text"]
    return texts if len(texts) == len(content) else None


class WarmPrefixes:
    """Where beginnings were read from or written to a prompt cache in the last minutes, as this process saw it.

    By organization: what one sends is never told to another. Written by one thread, read by any.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, OrderedDict[bytes, tuple[tuple[str, float], ...]]] = OrderedDict()

    def answered(self, organization: str, request: Request, deployment: str, usage: Usage) -> None:
        """The deployment answered the request, and says that it used so much."""
        if not usage.cached + usage.cache_write:
            return
        prefix = prefix_of(request)
        if prefix is None:
            return
        mine = self._known.setdefault(organization, OrderedDict())
        others = [each for each in mine.get(prefix.key, ()) if each[0] != deployment]
        mine[prefix.key] = ((deployment, self._clock()), *others[: _MOST_DEPLOYMENTS - 1])
        mine.move_to_end(prefix.key)
        self._known.move_to_end(organization)
        if len(mine) > _MOST_PREFIXES:
            mine.popitem(last=False)
        if len(self._known) > _MOST_ORGANIZATIONS:
            self._known.popitem(last=False)

    def warm(self, organization: str, prefix: Prefix) -> Sequence[str]:
        """The ids of the deployments that have such a beginning of the organization in their cache."""
        mine = self._known.get(organization)
        found = None if mine is None else mine.get(prefix.key)
        if not found:
            return ()
        since = self._clock() - KEPT_SECONDS
        return [deployment for deployment, at in found if at >= since]


Warm = Callable[[str, Prefix], Sequence[str]]
"""See `WarmPrefixes.warm`."""


Begun = tuple[str, Prefix, Sequence[str]]
"""An organization, how its prompt begins, and the ids of the deployments that have such a beginning in their cache."""


class First(NamedTuple):
    """The deployment that is to be first, what a call costs there (10^-12 USD), and why."""

    deployment: str
    cost: int
    cache: PromptCache


class Favored(NamedTuple):
    """The candidates with the costs and ranks that a prompt cache gives them, and why, by the id of a deployment."""

    candidates: Candidates
    caches: Mapping[str, PromptCache]

    def told(self, steps: Sequence[Step], *, drawn: bool) -> Sequence[Step]:
        """The steps; those that count with the cached price say so, and the first also where draws count."""
        return [
            step._replace(prompt_cache=found)
            if (found := self.caches.get(step.deployment)) is not None and (found.read or (drawn and not place))
            else step
            for place, step in enumerate(steps)
        ]


class Contest:
    """The candidates that may be first without costing more.

    `saved`: 10^-12 USD that a token saves by being read from the prompt cache, by the index of a candidate.
    """

    def __init__(self, candidates: Candidates, saved: Callable[[int], int]) -> None:
        self._candidates, self._saved = candidates, saved
        least = min(candidates.costs)
        tied = [index for index, cost in enumerate(candidates.costs) if cost == least]
        tied.sort(key=candidates.ranks.__getitem__)
        self._before = tied[0]
        self._tied = [index for index in tied[:_MOST_RIVALS] if saved(index)] or [self._before]
        self.idle = least >= UNKNOWN or not any(map(saved, range(len(candidates))))
        """Whether no candidate may ever be first for its prompt cache."""
        self._decided = lru_cache(_ANSWERS_KEPT)(self._decide)
        self._favored = lru_cache(_ANSWERS_KEPT)(self._favor)

    def first(self, organization: str, prefix: Prefix, warm: Sequence[str]) -> First | None:
        """Who is to be first; None: who was it anyway. `warm`: see `WarmPrefixes.warm`."""
        return self._decided(organization, prefix, tuple(warm))

    def _decide(self, organization: str, prefix: Prefix, warm: Sequence[str]) -> First | None:
        read = self._indexes(warm)
        if self.idle or (not read and self._tied == [self._before]):
            return None
        costs = {index: self._cost(index, prefix.tokens if index in read else 0) for index in (*self._tied, *read)}
        best = min((cost, -self._saved(index)) for index, cost in costs.items())
        equal = [index for index, cost in costs.items() if (cost, -self._saved(index)) == best]
        chosen = max(equal, key=lambda index: _draw(organization, prefix, self._id(index)))
        if not self._saved(chosen):
            return None
        return First(self._id(chosen), costs[chosen], PromptCache(prefix.tokens, chosen in read))

    def favored(self, organization: str, prefix: Prefix, warm: Sequence[str]) -> Favored:
        """The candidates for strategies that are not by cost alone; see `first`."""
        return self._favored(organization, prefix, tuple(warm))

    def _favor(self, organization: str, prefix: Prefix, warm: Sequence[str]) -> Favored:
        read, found = self._indexes(warm), self._candidates
        costs = [self._cost(index, prefix.tokens if index in read else 0) for index in range(len(found))]
        equal: dict[int, list[int]] = {}
        for index, cost in enumerate(costs):
            if self._saved(index):
                equal.setdefault(cost, []).append(index)
        drawn = [self._drawn(organization, prefix, indexes) for indexes in equal.values() if len(indexes) > 1]
        ranks = [rank + 1 for rank in found.ranks]
        for index in drawn:
            ranks[index] = 0
        caches = {self._id(index): PromptCache(prefix.tokens, index in read) for index in (*drawn, *read)}
        return Favored(Candidates(Columns.of(found.deployments, ranks), costs), caches)

    def _drawn(self, organization: str, prefix: Prefix, indexes: Sequence[int]) -> int:
        """One of those that save most."""
        most = max(map(self._saved, indexes))
        best = [index for index in indexes[:_MOST_RIVALS] if self._saved(index) == most] or indexes[:1]
        return max(best, key=lambda index: _draw(organization, prefix, self._id(index)))

    def _indexes(self, warm: Sequence[str]) -> set[int]:
        """The candidates of these ids that have a cached price."""
        if not warm:
            return set()
        named = [index for index, deployment in enumerate(self._candidates.deployments) if deployment.id in warm]
        return {index for index in named if self._saved(index)}

    def _cost(self, index: int, read_tokens: int) -> int:
        return self._candidates.costs[index] - read_tokens * self._saved(index)

    def _id(self, index: int) -> str:
        return self._candidates.deployments[index].id


def _draw(organization: str, prefix: Prefix, deployment: str) -> bytes:
    """Rendezvous hashing: where a deployment comes or goes, only those beginnings move that it gains or loses."""
    return blake2b(b"%b\0%b\0%b" % (organization.encode(), prefix.key, deployment.encode()), digest_size=8).digest()
