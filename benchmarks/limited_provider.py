"""An OpenAI-compatible server that enforces quotas as providers do: `python -m benchmarks.limited_provider PORT`.

Token buckets that hold a minute's quota and are refilled continuously. A request is charged with its prompt and what
its answer is estimated at when it comes, and with what the answer had in truth when it ends, so that a bucket may be
overdrawn; one that finds too little is refused with `Retry-After`, and counts as a request. The headers tell what is
left when an answer is sent. `GET /counts` tells of each model what was let through, refused, used, and is left.
"""

import asyncio
import json
import math
import random
import re
import sys
import time
from dataclasses import dataclass

import uvloop

from benchmarks.provider import ANSWER
from benchmarks.slow_provider import Conversation

RPM = 600
TPM = 600_000
"""Of the model `rpm`, which is limited in requests, and of `tpm`, which is in tokens. Each has plenty of the other."""

_PLENTY = 100_000_000
ESTIMATE = 500
"""Tokens that an answer is estimated at where the request bounds it not."""

LONGEST = 4_000
TOKENS_A_SECOND = 1_500
"""How fast answers are written."""

BEGIN = 0.2
"""The share of its quota that a bucket has when the first request comes: somebody else has just used it."""

_MODEL = re.compile(rb'"model":\s*"([a-z]+)"')


@dataclass
class Bucket:
    """What is left of a quota of so much a minute."""

    limit: int
    left: float = 0.0
    at: float | None = None

    def now(self) -> float:
        """What is left now."""
        now = time.monotonic()
        if self.at is None:
            self.left, self.at = BEGIN * self.limit, now
        self.left = min(float(self.limit), self.left + (now - self.at) * self.limit / 60)
        self.at = now
        return self.left

    def lacks(self, amount: float) -> float:
        """Seconds until so much is left; 0: it is."""
        return max(0.0, amount - self.now()) * 60 / self.limit

    def headers(self, name: str) -> str:
        """What is said of it."""
        left = max(0, int(self.now()))
        full = math.ceil((self.limit - self.left) * 60 / self.limit)
        return (
            f"x-ratelimit-limit-{name}: {self.limit}\r\nx-ratelimit-remaining-{name}: {left}\r\n"
            f"x-ratelimit-reset-{name}: {full}s\r\n"
        )


@dataclass
class Model:
    """One model's quota, and what came of it."""

    requests: Bucket
    tokens: Bucket
    admitted: int = 0
    refused: int = 0
    used: int = 0

    def headers(self) -> str:
        """What is left of both."""
        return self.requests.headers("requests") + self.tokens.headers("tokens")


class Limited(Conversation):
    """One connection to it."""

    def __init__(self, models: dict[bytes, Model]) -> None:
        super().__init__()
        self._models = models

    def asked(self, head: bytes, body: bytes) -> None:
        """Let the request through, or refuse it."""
        if head.startswith(b"GET"):
            counts = {
                name.decode(): {
                    "admitted": each.admitted,
                    "refused": each.refused,
                    "used": each.used,
                    "requests_left": each.requests.now() / each.requests.limit,
                    "tokens_left": each.tokens.now() / each.tokens.limit,
                }
                for name, each in self._models.items()
            }
            self._send(200, "", counts)
            return
        found = _MODEL.search(body)
        assert found is not None
        model = self._models[found[1]]
        prompt = len(body) // 4
        wait = max(model.requests.lacks(1), model.tokens.lacks(prompt + ESTIMATE))
        model.requests.left -= 1
        if wait:
            model.refused += 1
            wish = f"retry-after-ms: {math.ceil(1000 * wait)}\r\nretry-after: {math.ceil(wait)}\r\n"
            error = {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}
            self._send(429, wish + model.headers(), {"error": error})
            return
        model.admitted += 1
        model.tokens.left -= prompt + ESTIMATE
        output = random.randint(1, LONGEST)
        asyncio.get_running_loop().call_later(output / TOKENS_A_SECOND, self._answer, model, prompt, output)

    def _answer(self, model: Model, prompt: int, output: int) -> None:
        model.tokens.now()
        model.tokens.left -= output - ESTIMATE
        model.used += prompt + output
        usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
        self._send(200, model.headers(), {**ANSWER, "usage": usage})

    def _send(self, status: int, headers: str, document: object) -> None:
        if self._transport.is_closing():
            return
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def serve(port: int) -> None:
    """Until the process is ended."""
    models = {b"rpm": Model(Bucket(RPM), Bucket(_PLENTY)), b"tpm": Model(Bucket(_PLENTY), Bucket(TPM))}
    server = await asyncio.get_running_loop().create_server(lambda: Limited(models), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
