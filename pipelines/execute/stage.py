"""One attempt at one deployment, and what it means for the books."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from pipelines.execute.joint import JointCalls
from pipelines.execute.repairing import misfit_failure
from pipelines.execute.validating import Validation
from pipelines.output_schema import Misfit, SchemaProblem, misfit_of
from pipelines.providers.protocol import Call, Cancel, CheckText, Done, Provider, answer_to, end_soon, failure_of_bug
from synthralos.domain.attempts import AttemptEnd, Billed, Outcome, Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import ANSWERED, Failure, FailureClass
from synthralos.domain.money import Price, PriceUsed, ServiceTier, Usage
from synthralos.telemetry.metrics import Metrics


class ExecuteStage:
    """Calls deployments through the provider adapters."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        validation: Validation | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """`providers` by the name of the adapter that a deployment names; `validation` looks at their answers."""
        self._providers = providers
        self._validation = validation
        self._joint = JointCalls(
            lambda call, done: providers[call.deployment.adapter].begin(call, done), metrics or Metrics()
        )

    @property
    def validates(self) -> bool:
        """Whether there is anybody to show answers to."""
        return self._validation is not None

    def begin(self, call: Call, done: Done) -> Cancel:
        """Begin one call; see `Provider.begin`. A bug there is a failure of this call."""
        try:
            return self._begin(call, done)
        except Exception as error:  # noqa: BLE001 - the edge of an adapter, whose bug is its call's alone; it is logged
            return end_soon(failure_of_bug(call, error), done)

    async def call(self, call: Call) -> Reply | Failure:
        """Make one call and wait for its end; being cancelled cuts the call. What else is raised is a bug."""
        return await answer_to(call, self._begin)

    def _begin(self, call: Call, done: Done) -> Cancel:
        provider = self._providers.get(call.deployment.adapter)
        if provider is None:
            missing = f"this worker has no adapter {call.deployment.adapter!r}"
            return end_soon(Failure(FailureClass.INTERNAL, missing), done)
        if call.request.embeds is not call.deployment.embeds:  # the plan may be older than what the catalog says now
            other = f"{call.deployment.id} {'takes no chats' if call.deployment.embeds else 'makes no embeddings'}"
            return end_soon(Failure(FailureClass.UNSUPPORTED, other), done)
        if call.joins is not None:
            return self._joint.begin(call, done)
        if self._validation is not None and call.validated:
            return _Validated(call, self._validation, done).begin(partial(self._begin_in_form, provider))
        return self._begin_in_form(provider, call, done)

    @staticmethod
    def _begin_in_form(provider: Provider, call: Call, done: Done) -> Cancel:
        if call.check is not None:
            done = partial(_tell_checked, call, call.check, done)
        asked = call.request.body.get("response_format")
        if asked is None or asked["type"] == "text":
            return provider.begin(call, done)
        try:
            misfit = misfit_of(asked)
        except SchemaProblem as problem:  # taken in before schemas were looked at: not called, so not billed
            message = f"response_format.json_schema.schema {problem}: {problem.remedy}"
            return end_soon(Failure(FailureClass.INVALID_REQUEST, message), done)
        return provider.begin(call, lambda answer: done(_in_form(call, answer, misfit)))

    async def close(self) -> None:
        """Close all adapters."""
        for provider in self._providers.values():
            await provider.close()


class _Validated:
    """A call whose answer is shown to validators. What cancels it cancels whatever is under way of both."""

    def __init__(self, call: Call, validation: Validation, done: Done) -> None:
        self._call, self._validation, self._done = call, validation, done
        self._cancel: Cancel | None = None
        self._stopped = False

    def begin(self, begin: Callable[[Call, Done], Cancel]) -> Cancel:
        self._cancel = begin(self._call, self._answered)
        return self._stop

    def _answered(self, answer: Reply | Failure) -> None:
        if isinstance(answer, Failure) or _only_calls_tools(answer):
            self._end(answer)
        else:
            self._cancel = self._validation.begin(self._call, answer, self._end)

    def _end(self, answer: Reply | Failure) -> None:
        if not self._stopped:
            self._done(answer)

    def _stop(self) -> None:
        self._stopped = True
        assert self._cancel is not None
        self._cancel()


def _only_calls_tools(answer: Reply) -> bool:
    return bool(answer.tool_calls) and not answer.text


def _tell_checked(call: Call, check: CheckText, done: Done, answer: Reply | Failure) -> None:
    """Tell the answer, or the failure that it does not pass the check."""
    if isinstance(answer, Reply) and not _only_calls_tools(answer):
        try:
            problem = check(answer.text or "")
        except Exception as error:  # noqa: BLE001 - the caller of `done` must hear of an end; it is logged
            done(replace(failure_of_bug(call, error), usage=answer.usage))
            return
        if problem is not None:
            done(misfit_failure(answer, problem))
            return
    done(answer)


def _in_form(call: Call, answer: Reply | Failure, misfit: Misfit) -> Reply | Failure:
    """The answer, or the failure that it does not have the form that was asked for: it was paid for all the same."""
    if isinstance(answer, Failure) or _only_calls_tools(answer):
        return answer
    try:
        problem = misfit(answer.text)
    except Exception as error:  # noqa: BLE001 - the caller of `done` must hear of an end; it is logged
        return replace(failure_of_bug(call, error), usage=answer.usage)
    if problem is None:
        return answer
    if answer.finish_reason == "length":
        problem += " (it was cut at its token limit: raise max_output_tokens)"
    return misfit_failure(answer, problem)


def attempt_end(
    attempt_no: int,
    deployment: Deployment,
    answer: Reply | Failure,
    seconds: float,
    *,
    priced: bool = True,
    ended: datetime | None = None,
    asked: ServiceTier = ServiceTier.STANDARD,
) -> AttemptEnd:
    """What to book for an answered attempt. A cost that cannot be known, or is not `priced`, is None, never 0.

    Where the price has dates, the one in force when the call began counts. `asked` is the service tier asked for.
    """
    tariff = _Tariff(deployment.price if priced else None, ended, seconds, asked)
    usage = answer.usage
    if isinstance(answer, Failure):
        billed, cost = _failure_cost(tariff, answer)
        end = AttemptEnd(attempt_no, Outcome.FAILED, billed, usage, cost, failure=answer, seconds=seconds)
    else:
        end = AttemptEnd(attempt_no, Outcome.SUCCEEDED, Billed.YES, usage, tariff.cost(usage), seconds=seconds)
        end.provider_model, end.provider_request_id = answer.model, answer.provider_request_id
    tier = asked if usage is None or usage.service_tier is None else usage.service_tier
    if tier != ServiceTier.STANDARD:
        end.service_tier = tier
    end.price = tariff.used(usage)
    return end


def cut_end(attempt_no: int, seconds: float) -> AttemptEnd:
    """What to book for a call that was cut while it ran: nobody knows what the provider made of it."""
    return AttemptEnd(attempt_no, Outcome.CANCELLED, Billed.MAYBE, None, None, seconds=seconds)


class _Tariff:
    """The deployment's price at the moment of the call."""

    def __init__(self, listed: Price | None, ended: datetime | None, seconds: float, asked: ServiceTier) -> None:
        self._listed = self._price = listed
        self._asked = asked
        if listed is not None and listed.later and ended is not None:
            self._price = listed.at(ended - timedelta(seconds=seconds))

    def cost(self, usage: Usage | None) -> Decimal | None:
        """In USD; None where it is unknown."""
        return None if usage is None or self._price is None else self._price.cost(usage, self._asked)

    def used(self, usage: Usage | None) -> PriceUsed | None:
        """What was counted with, where the catalog's entry does not say it already."""
        listed, price = self._listed, self._price
        if usage is None or price is None or listed is None:
            return None
        rates = price.rates(usage.input, usage.service_tier or self._asked)
        if rates is None or (price is listed and rates is listed.tariffs[ServiceTier.STANDARD].rates):
            return None
        return PriceUsed(rates, price.as_of, price.valid_from)


def _failure_cost(tariff: _Tariff, failure: Failure) -> tuple[Billed, Decimal | None]:
    if failure.estimated:  # its tokens are on the books; what they cost nobody knows before the provider's bill
        return Billed.MAYBE, None
    if failure.usage is not None:
        return Billed.YES, tariff.cost(failure.usage)
    if failure.failure_class in ANSWERED:
        return Billed.YES, None
    withheld = failure.failure_class is FailureClass.CONTENT_FILTERED and failure.http_status == 200
    if failure.maybe_billed or withheld:
        return Billed.MAYBE, None
    return Billed.NO, Decimal(0)


def result_json(deployment: Deployment, reply: Reply) -> dict[str, Any]:
    """A job's result as it is stored and published. Parts that not every answer has are there where it has them."""
    usage = reply.usage
    return {
        "text": reply.text,
        **({} if reply.reasoning is None else {"reasoning": reply.reasoning}),
        **({"thinking": reply.thinking} if reply.thinking else {}),
        **({} if reply.embeddings is None else {"embeddings": reply.embeddings}),
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
            "cache_write": usage.cache_write,
            "reasoning": usage.reasoning,
        },
    }
