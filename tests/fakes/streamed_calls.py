"""Streamed calls of any provider at a scripted server, and what was heard of them."""

import asyncio
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.providers.anthropic import AnthropicProvider
from pipelines.providers.google import GoogleProvider
from pipelines.providers.openai import OpenAIProvider
from pipelines.providers.protocol import answer_to
from synthralos.domain.attempts import Reply
from synthralos.domain.deltas import Delta
from synthralos.domain.failures import Failure
from tests.fakes import calls, streams
from tests.fakes.stream_server import Script, stream_server

PROVIDERS: Mapping[str, Any] = {"anthropic": AnthropicProvider, "google": GoogleProvider, "openai": OpenAIProvider}
SHAPES: Mapping[str, Mapping[str, list[Any]]] = {
    "anthropic": streams.ANTHROPIC,
    "google": streams.GOOGLE,
    "openai": streams.OPENAI,
}


@dataclass
class Heard:
    """What a call told while it ran, and how it ended."""

    end: Reply | Failure | None = None
    deltas: list[Delta] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def reply(self) -> Reply:
        assert isinstance(self.end, Reply), self.end
        return self.end

    @property
    def failure(self) -> Failure:
        assert isinstance(self.end, Failure), self.end
        return self.end

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    def reasoning(self) -> str:
        return "".join(delta.reasoning for delta in self.deltas)


def streamed(name: str, script: Script, timeout: float = 30.0, **options: Any) -> Heard:
    """Make one call of a provider at a server that does as the script says."""

    async def scenario() -> Heard:
        heard = Heard()
        async with stream_server(script) as (url, seen):
            deployment = calls.deployment(name, base_url=url, options=options)
            provider = PROVIDERS[name](calls.credentials(deployment))
            call = calls.call(deployment, timeout=timeout)
            call.on_delta = heard.deltas.append
            try:
                heard.end = await answer_to(call, provider.begin)
            finally:
                await provider.close()
            heard.bodies = [json.loads(one.body) for one in seen]
            heard.paths = [one.path for one in seen]
        return heard

    return asyncio.run(scenario())


def written(name: str, shape: str, end: str = "\n") -> bytes:
    return streams.sse(SHAPES[name][shape], named=name == "anthropic", end=end)


def in_pieces(whole_text: bytes, seed: int) -> Iterator[bytes]:
    rng, place = random.Random(seed), 0
    while place < len(whole_text):
        size = rng.choice((1, 2, 3, 7, 50, 400))
        yield whole_text[place : place + size]
        place += size
