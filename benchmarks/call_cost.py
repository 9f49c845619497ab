"""What a provider call costs this process: CPU for one call of a prompt of 2 kB, without any database.

Counted are the most that it may cost (as budgets hold it), the request, its way through the client, the answer, its
price, and the values that go into the ledger and the result. The provider is nginx, which answers at once.
"""

import asyncio
import time
from decimal import Decimal

from benchmarks.provider import nginx
from benchmarks.report import BenchmarkError, figure, say
from pipelines.execute.stage import ExecuteStage, attempt_end, result_json
from pipelines.providers.openai import OpenAIProvider
from pipelines.providers.protocol import Call
from pipelines.spending import most_of_call
from pipelines.tokens import TokenCounter
from synthralos.config.credentials import Credentials
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Request
from synthralos.domain.money import Price

CALLS, IN_FLIGHT, ROUNDS = 20_000, 100, 3
_PROMPT = ("Summarize what changed in the third quarter, and name what is still open. " * 28)[:2_000]
_TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def main(smoke: bool) -> None:
    """Print `cpu_ms_per_call`, the best of some rounds."""
    calls, rounds = (500, 1) if smoke else (CALLS, ROUNDS)
    with nginx() as (base_url, _):
        best = min(asyncio.run(_round(base_url, calls)) for _ in range(rounds))
    figure("cpu_ms_per_call", best * 1000, "ms")
    say(f"{calls} calls, {IN_FLIGHT} at a time, {len(_PROMPT)} characters each; the goal is 0.5 ms")


async def _round(base_url: str, calls: int) -> float:
    """CPU seconds of this process for one call."""
    deployment = _deployment(base_url)
    credentials = Credentials({}, Catalog([deployment]), "off")
    stage = ExecuteStage({"openai": OpenAIProvider(lambda: credentials)})
    counter = TokenCounter()
    await _calls(stage, deployment, counter, IN_FLIGHT)  # opens the connections and loads the encoding
    began = time.process_time()
    await asyncio.gather(*(_calls(stage, deployment, counter, calls // IN_FLIGHT) for _ in range(IN_FLIGHT)))
    spent = time.process_time() - began
    await stage.close()
    return spent / (calls // IN_FLIGHT * IN_FLIGHT)


async def _calls(stage: ExecuteStage, deployment: Deployment, counter: TokenCounter, number: int) -> None:
    for _ in range(number):
        request = Request("auto", {"messages": [{"role": "user", "content": _PROMPT}], "max_output_tokens": 256})
        reserved = most_of_call(request, deployment, counter, deployment.price)
        answer = await stage.call(Call(new_id(), 1, deployment, request, 30.0, _TRACEPARENT))
        end = attempt_end(1, deployment, answer, 0.1)
        if not isinstance(answer, Reply) or reserved is None or end.cost is None:
            raise BenchmarkError(f"a call was not answered and priced: {answer}")
        result_json(deployment, answer)


def _deployment(base_url: str) -> Deployment:
    return Deployment(
        id="bench/mini@us",
        provider="bench",
        model="mini",
        region="us",
        adapter="openai",
        upstream_model="mini",
        base_url=base_url,
        context_window=128_000,
        max_output=16_000,
        price=Price(Decimal("0.15"), Decimal("0.6"), Decimal("0.075"), "2026-01-01"),
    )
