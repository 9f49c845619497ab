"""A server of embeddings that speaks OpenAI's API: HTTP, one time limit, one breaker. Lives on the event loop.

What it gives is an offer: whoever asks has vectors of another kind where it gives none.
"""

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import orjson

from pipelines.providers.transport import protocol as http
from pipelines.providers.transport.client import Client
from pipelines.repeats.protocol import Vectors
from pipelines.similarity.embedding import READ
from pipelines.similarity.reading import excerpt
from pipelines.validation.breaker import Breaker
from synthralos.telemetry.outages import Outages

EMBEDDINGS = "the embeddings endpoint"
"""What the log calls it."""

MOST_TEXTS = 32
"""Of one request: servers take up to 2,048, and fewer where all are long."""

MOST_DIMENSIONS = 8_192

_REMEDY = (
    "look at the server, SIMILARITY_URL, SIMILARITY_MODEL and SIMILARITY_KEY; prompts are compared by the built-in "
    "embedder meanwhile"
)


class EmbeddingsEndpoint:
    """`POST …/embeddings`. A request that failed is not sent again: its time is over."""

    def __init__(
        self, url: str, model: str, key: str | None, seconds: float, outages: Outages, breaker: Breaker | None = None
    ) -> None:
        """`url`: what `/embeddings` is put behind; raises `ValueError` for one that cannot be called."""
        self.model, self.seconds = model, seconds
        self._outages = outages
        self._breaker = breaker or Breaker()
        self._client = Client()
        headers = [("User-Agent", "synthralos"), ("Content-Type", "application/json"), ("Accept-Encoding", "identity")]
        if key is not None:
            headers.append(("Authorization", f"Bearer {key}"))
        self._endpoint = self._client.endpoint("POST", f"{url.rstrip('/')}/embeddings", tuple(headers))
        self._timeouts = http.Timeouts(connect=seconds, first_byte=seconds, idle=seconds, total=seconds)

    async def embed(self, texts: Sequence[str]) -> Vectors | None:
        """A row of length 1 for each text, within `seconds`; None where there is no answer, or one of no use.

        Of long texts the beginning and the end are sent, as the built-in embedder reads them.
        """
        if not self._breaker.admits():
            return None
        parts = [texts[begin : begin + MOST_TEXTS] for begin in range(0, len(texts), MOST_TEXTS)]
        answers = await asyncio.gather(*(self._part(part) for part in parts))
        read = [each for each in answers if not isinstance(each, str)]
        problem = next((each for each in answers if isinstance(each, str)), None)
        if problem is None and len({each.shape[1] for each in read}) > 1:
            problem = "its vectors have different numbers of dimensions"
        if problem is not None:
            if problem not in _OF_THE_TEXTS:
                self._breaker.failed()
            self._outages.failed(EMBEDDINGS, problem, _REMEDY)
            return None
        self._breaker.worked()
        self._outages.works(EMBEDDINGS)
        return np.concatenate(read)

    async def close(self) -> None:
        """Give back connections."""
        await self._client.close()

    async def _part(self, texts: Sequence[str]) -> Vectors | str:
        """The vectors, or why there are none."""
        asked = {"model": self.model, "input": [_sent(text) for text in texts], "encoding_format": "float"}
        request = http.Request(self._endpoint, (), orjson.dumps(asked), self._timeouts)
        return _read(await self._client.send(request), len(texts))


def _sent(text: str) -> str:
    """What is sent of a text: without halves of surrogate pairs, which have no form in UTF-8, and never nothing."""
    read = excerpt(text, READ)
    return (read if read.isascii() else read.encode("utf-8", "replace").decode()) or " "


def _status(status: int) -> str:
    return f"it answers HTTP {status}"


_OF_THE_TEXTS = frozenset(map(_status, (400, 413, 422)))
"""What a server says of texts that are too much for it: others may fit, so that the breaker does not count it."""


def _read(result: http.Result, count: int) -> Vectors | str:
    if isinstance(result, http.TransportFailure):
        return result.message
    if result.status != 200:
        return _status(result.status)
    try:
        data = orjson.loads(result.body)["data"]
        placed = {each["index"]: each["embedding"] for each in data}
        rows = np.array([placed[place] for place in range(count)], np.float64)
    except (ValueError, KeyError, TypeError):
        return "what it answers cannot be read: another server may listen there"
    if len(data) != count or rows.ndim != 2 or not 1 < rows.shape[1] <= MOST_DIMENSIONS or not np.isfinite(rows).all():
        return "what it answers are no vectors"
    return _unit(rows)


def _unit(rows: npt.NDArray[np.float64]) -> Vectors:
    """Of length 1: some servers give longer ones."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scaled = rows / np.where(largest > 0, largest, 1)  # what is huge has no square
    lengths = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    unit: Vectors = (scaled / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit
