"""One attempt at one deployment, and what it means for the books."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pipelines.providers.protocol import Call, Provider
from synthralos.domain.attempts import AttemptEnd, Billed, Outcome, Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure, FailureClass


class ExecuteStage:
    """Calls deployments through the provider adapters."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        """`providers` by the name of the adapter that a deployment names."""
        self._providers = providers

    async def call(self, call: Call) -> Reply | Failure:
        """Make one call; raises nothing but `asyncio.CancelledError`."""
        provider = self._providers.get(call.deployment.adapter)
        if provider is None:
            return Failure(FailureClass.INTERNAL, f"this worker has no adapter {call.deployment.adapter!r}")
        return await provider.call(call)

    async def close(self) -> None:
        """Close all adapters."""
        for provider in self._providers.values():
            await provider.close()


def attempt_end(attempt_no: int, deployment: Deployment, answer: Reply | Failure, seconds: float) -> AttemptEnd:
    """What to book for an answered attempt. A cost that cannot be known is None, never 0."""
    if isinstance(answer, Failure):
        billed = Billed.MAYBE if answer.maybe_billed else Billed.NO
        cost = None if answer.maybe_billed else Decimal(0)
        return AttemptEnd(attempt_no, Outcome.FAILED, billed, None, cost, failure=answer, seconds=seconds)
    known = answer.usage is not None and deployment.price is not None
    return AttemptEnd(
        attempt_no,
        Outcome.SUCCEEDED,
        Billed.YES,
        answer.usage,
        deployment.price.cost(answer.usage) if known and deployment.price and answer.usage else None,
        provider_model=answer.model,
        provider_request_id=answer.provider_request_id,
        seconds=seconds,
    )


def cut_end(attempt_no: int, outcome: Outcome, seconds: float) -> AttemptEnd:
    """What to book for a call that was cut while it ran: nobody knows what the provider made of it."""
    return AttemptEnd(attempt_no, outcome, Billed.MAYBE, None, None, seconds=seconds)


def result_json(deployment: Deployment, reply: Reply) -> dict[str, Any]:
    """A job's result as it is stored and published."""
    usage = reply.usage
    return {
        "text": reply.text,
        "tool_calls": reply.tool_calls,
        "finish_reason": reply.finish_reason,
        "model": reply.model or deployment.upstream_model,
        "deployment": deployment.id,
        "usage": None
        if usage is None
        else {
            "input": usage.input,
            "output": usage.output,
            "cached": usage.cached,
            "reasoning": usage.reasoning,
        },
    }
