"""A real server that speaks OpenAI's embeddings, bills each call by a count of its own, and refuses what it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server

POISON = "poison"
"""A call that holds this word is refused as a whole."""


@dataclass
class VectorServer:
    """`billed` has the tokens of each call that was answered. It takes `most` texts in a call.

    `held`: calls wait until it is set; `came`: one has arrived. `failing`: so many calls are answered 500 first.
    """

    server: ScriptedServer
    most: int = 2_048
    failing: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    came: threading.Event = field(default_factory=threading.Event)
    billed: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{self.server.url}/v1"

    @property
    def sizes(self) -> list[int]:
        """How many texts each call had, in order."""
        return [len(texts_of(asked)) for asked in self.server.asked]

    def answer(self, asked: Asked) -> Answer:
        texts = texts_of(asked)
        self.came.set()
        self.held.wait(60)
        with self._lock:
            if self.failing:
                self.failing -= 1
                return Answer(500, {"error": {"message": "out of order"}})
            if len(texts) > self.most:
                return Answer(400, {"error": {"message": "too many texts", "type": "invalid_request_error"}})
            if any(POISON in text for text in texts):
                return Answer(400, {"error": {"message": "a text is refused", "type": "invalid_request_error"}})
            tokens = sum(tokens_of(text) for text in texts) + 1
            self.billed.append(tokens)
        data = [{"index": number, "embedding": vector_of(text)} for number, text in enumerate(texts)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return Answer(body={"object": "list", "model": "vectors", "data": data, "usage": usage})


def texts_of(asked: Asked) -> list[str]:
    given: Any = asked.json()["input"]
    return [given] if isinstance(given, str) else list(given)


def tokens_of(text: str) -> int:
    """Not what we would count: a token for each letter."""
    return len(text)


def vector_of(text: str) -> list[float]:
    """Of this text and of no other one that tests use."""
    return [float(len(text)), float(sum(map(ord, text)) % 1_000), 0.5]


@contextmanager
def vector_server() -> Iterator[VectorServer]:
    with scripted_server() as server:
        vectors = VectorServer(server)
        vectors.held.set()
        server.script = vectors.answer
        try:
            yield vectors
        finally:
            vectors.held.set()
