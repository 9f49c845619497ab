"""The client of the guardrails-ai sidecar (`synthralos guardrails`): HTTP, one time limit, one breaker.

Validating changes nothing, but a request that failed is not sent again: its time is over. Who was not looked at is
told so by value, and the stages do what GUARDRAILS_FAILURE says.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from pipelines.providers.transport import protocol as http
from pipelines.providers.transport.client import Client
from pipelines.providers.transport.proxies import Proxies
from pipelines.validation.breaker import Breaker
from pipelines.validation.protocol import Answer, Side, Verdict
from synthralos.telemetry.families import VALIDATED
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages

GUARDRAILS = "guardrails-ai"
"""What the log calls it."""

MOST_TEXTS = 64
MOST_CHARACTERS = 4_000_000
"""Of one request, unless a single text is longer."""

_OURS = 0.8
"""The share of the time limit that the sidecar may use: what it has done by then still comes in time."""

_HEADERS = (("User-Agent", "synthralos"), ("Content-Type", "application/json"), ("Accept-Encoding", "identity"))
_TOO_LARGE = 413


class Sidecar:
    """See `Validator`."""

    def __init__(
        self,
        url: str,
        seconds: float,
        *,
        fails_open: bool,
        outages: Outages,
        metrics: Metrics,
        breaker: Breaker | None = None,
    ) -> None:
        """`url`: where the sidecar listens; raises `ValueError` for one that cannot be called."""
        self.seconds = seconds
        self.fails_open = fails_open
        self._breaker = breaker or Breaker()
        self._outages = outages
        self._counts = metrics.counters(VALIDATED)
        # No proxy: prompts go to the place that is named, and nowhere else.
        self._client = Client(proxies=Proxies({}))
        self._endpoint = self._client.endpoint("POST", f"{url.rstrip('/')}/v1/validate", _HEADERS)
        self._timeouts = http.Timeouts(connect=seconds / 2, first_byte=seconds, idle=seconds, total=seconds)

    async def ask(self, side: Side, texts: Sequence[str]) -> list[Answer]:
        """See `Validator.ask`."""
        parts = list(_parts(texts))
        answers = [answer for part in await asyncio.gather(*(self._part(side, p) for p in parts)) for answer in part]
        for answer in answers:
            self._counts[side, answer.verdict].inc()
        return answers

    async def close(self) -> None:
        """See `Validator.close`."""
        await self._client.close()

    async def _part(self, side: Side, texts: Sequence[str]) -> list[Answer]:
        if not self._breaker.admits():
            return _unseen("guardrails-ai did not answer lately", len(texts))
        body = {"guard": side, "texts": [_writable(text) for text in texts], "seconds": self.seconds * _OURS}
        result = await self._client.send(http.Request(self._endpoint, (), orjson.dumps(body), self._timeouts))
        if isinstance(result, http.Answer) and result.status == _TOO_LARGE:
            return _unseen("the text is too large for guardrails-ai", len(texts), passing=False)
        answers = _read(result, len(texts))
        if isinstance(answers, str):
            self._breaker.failed()
            how = "texts go on unseen" if self.fails_open else "jobs wait"
            remedy = f"start `synthralos guardrails`, or correct GUARDRAILS_URL; {how} meanwhile (GUARDRAILS_FAILURE)"
            self._outages.failed(GUARDRAILS, answers, remedy)
            return _unseen(f"guardrails-ai does not work: {answers}", len(texts))
        self._breaker.worked()
        self._outages.works(GUARDRAILS)
        return answers


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts, in order, in requests of a size that is soon worked on."""
    part: list[str] = []
    characters = 0
    for text in texts:
        if part and (len(part) == MOST_TEXTS or characters + len(text) > MOST_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(text)
        characters += len(text)
    if part:
        yield part


def _writable(text: str) -> str:
    """The text without halves of surrogate pairs, which have no form in UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _read(result: http.Result, count: int) -> list[Answer] | str:
    """The answers to so many texts, or why there are none."""
    if isinstance(result, http.TransportFailure):
        return result.message
    if result.status != 200:
        return f"it answers HTTP {result.status}"
    try:
        answers = [_answer(said) for said in orjson.loads(result.body)["results"]]
    except (ValueError, KeyError, TypeError):
        return "what it answers cannot be read: another server may listen there"
    return answers if len(answers) == count else f"it gives {len(answers)} answers for {count} texts"


def _answer(said: Any) -> Answer:
    """Raises `ValueError`, `KeyError` or `TypeError` for what is no answer."""
    verdict, text = Verdict(said["verdict"]), said.get("text")
    if (verdict is Verdict.FIXED) is not isinstance(text, str):
        raise TypeError("a fixed text, and no other, comes along")
    return Answer(verdict, tuple(str(reason) for reason in said["reasons"]), text, said.get("late") is True)


def _unseen(why: str, count: int, *, passing: bool = True) -> list[Answer]:
    return [Answer(Verdict.UNSEEN, (why,), passing=passing)] * count
