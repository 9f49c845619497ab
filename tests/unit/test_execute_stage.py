"""What the execute stage makes of answers that were to have a form, and what is on the books for them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pipelines.execute.stage import ExecuteStage, attempt_end, result_json
from pipelines.providers.protocol import Call, Cancel, Done, end_soon
from synthralos.domain.attempts import Billed, Outcome, Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Price, PriceUsed, Rates, ServiceTier, Tariff, Usage
from tests.fakes import calls

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
USAGE = Usage(100, 10)
PRICED = calls.deployment("answering", price=Price(Decimal(1), Decimal(2)))
TOOL_CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}


class Answering:
    """Answers what it was made with, and counts."""

    def __init__(self, answer: Reply | Failure) -> None:
        self.answer = answer
        self.calls = 0

    def begin(self, call: Call, done: Done) -> Cancel:
        self.calls += 1
        return end_soon(self.answer, done)

    async def close(self) -> None: ...


Way = Callable[[ExecuteStage, Call], Any]


async def by_callback(stage: ExecuteStage, call: Call) -> Reply | Failure:
    ended: asyncio.Future[Reply | Failure] = asyncio.get_running_loop().create_future()
    stage.begin(call, ended.set_result)
    return await ended


async def by_coroutine(stage: ExecuteStage, call: Call) -> Reply | Failure:
    return await stage.call(call)


@pytest.fixture(params=[by_callback, by_coroutine])
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


def end_of(way: Way, provider: Answering, response_format: dict[str, Any] | None = FORMAT) -> Reply | Failure:
    body = {} if response_format is None else {"response_format": response_format}
    call = calls.call(PRICED, calls.request(**body))

    async def whole() -> Reply | Failure:
        found: Reply | Failure = await way(ExecuteStage({PRICED.adapter: provider}), call)
        return found

    return asyncio.run(whole())


@pytest.mark.parametrize(("usage", "cost"), [(USAGE, Decimal("0.00012")), (None, None)], ids=["usage", "no usage"])
def test_an_answer_that_does_not_fit_is_a_failure_that_was_billed(
    way: Way, usage: Usage | None, cost: Decimal | None
) -> None:
    answer = end_of(way, Answering(Reply("{}", usage)))
    assert isinstance(answer, Failure)
    assert answer.failure_class is FailureClass.SCHEMA_MISMATCH
    end = attempt_end(1, PRICED, answer, 1.0)
    assert (end.outcome, end.billed, end.usage, end.cost) == (Outcome.FAILED, Billed.YES, usage, cost)


def test_a_cost_that_is_not_tracked_is_unknown_although_it_was_billed() -> None:
    end = attempt_end(1, PRICED, Failure(FailureClass.SCHEMA_MISMATCH, "no", usage=USAGE), 1.0, priced=False)
    assert (end.billed, end.cost) == (Billed.YES, None)


@pytest.mark.parametrize(
    ("reply", "response_format"),
    [
        (Reply('{"city": "Bern"}', USAGE), FORMAT),
        (Reply(None, USAGE, tool_calls=[TOOL_CALL]), FORMAT),
        (Reply("", USAGE, tool_calls=[TOOL_CALL]), FORMAT),
        (Reply("{}", USAGE), {"type": "json_object"}),
        (Reply("1", USAGE), {"type": "json_schema", "json_schema": {"name": "x"}}),
        (Reply("Bern", USAGE), {"type": "text"}),
        (Reply("Bern", USAGE), None),
    ],
)
def test_what_fits_and_what_had_no_form_to_fit_are_answers(
    way: Way, reply: Reply, response_format: dict[str, Any] | None
) -> None:
    assert end_of(way, Answering(reply), response_format) is reply


def test_text_beside_tool_calls_has_to_fit(way: Way) -> None:
    answer = end_of(way, Answering(Reply("Bern", USAGE, tool_calls=[TOOL_CALL])))
    assert isinstance(answer, Failure)


def test_other_failures_stay_as_they_are(way: Way) -> None:
    failure = Failure(FailureClass.OVERLOADED, "busy")
    assert end_of(way, Answering(failure)) is failure


def test_a_cut_answer_says_what_to_raise(way: Way) -> None:
    answer = end_of(way, Answering(Reply('{"city": "Be', USAGE, finish_reason="length")))
    assert isinstance(answer, Failure)
    assert "max_output_tokens" in answer.message
    whole = end_of(way, Answering(Reply('{"city": "Be', USAGE, finish_reason="stop")))
    assert isinstance(whole, Failure)
    assert "max_output_tokens" not in whole.message


def test_no_call_is_paid_for_whose_answer_could_not_be_checked(way: Way) -> None:
    provider = Answering(Reply("{}", USAGE))
    remote = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "https://example.com/a"}}}
    answer = end_of(way, provider, remote)
    assert isinstance(answer, Failure)
    assert answer.failure_class is FailureClass.INVALID_REQUEST
    assert provider.calls == 0
    end = attempt_end(1, PRICED, answer, 0.0)
    assert (end.billed, end.cost) == (Billed.NO, Decimal(0))


def test_a_bug_in_the_check_ends_the_call_and_stays_on_the_books(way: Way) -> None:
    answer = end_of(way, Answering(Reply(7, USAGE)))  # type: ignore[arg-type]  # no adapter should
    assert isinstance(answer, Failure)
    assert attempt_end(1, PRICED, answer, 1.0).billed is Billed.YES


def test_an_answer_that_was_withheld_without_a_bill_is_unknown_and_not_free() -> None:
    withheld = Failure(FailureClass.CONTENT_FILTERED, "withheld", http_status=200)
    end = attempt_end(1, PRICED, withheld, 1.0)
    assert (end.billed, end.cost) == (Billed.MAYBE, None)
    refused = Failure(FailureClass.CONTENT_FILTERED, "refused", http_status=400)
    assert attempt_end(1, PRICED, refused, 1.0).billed is Billed.NO


def test_signed_thoughts_are_in_the_result_where_there_are_any() -> None:
    thoughts = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    assert result_json(PRICED, Reply("hi", USAGE, thinking=thoughts))["thinking"] == thoughts
    assert "thinking" not in result_json(PRICED, Reply("hi", USAGE))


def test_what_was_counted_with_is_booked_where_it_is_not_the_standard_price() -> None:
    flex = Tariff(Rates(Decimal("0.5"), Decimal(1)))
    later = Price(Decimal(7), Decimal(8), as_of="2026-11-01", valid_from="2027-01-01")
    price = Price(Decimal(1), Decimal(2), as_of="2026-11-01", service_tiers={ServiceTier.FLEX: flex}, later=(later,))
    deployment, usage = replace(PRICED, price=price), Usage(1_000_000, 0)
    answer = Reply("hi", usage)
    new_year = datetime(2027, 1, 1, tzinfo=UTC)

    before = attempt_end(1, deployment, answer, 2.0, ended=new_year + timedelta(seconds=1))
    assert (before.cost, before.service_tier, before.price) == (Decimal(1), None, None)
    after = attempt_end(1, deployment, answer, 1.0, ended=new_year + timedelta(seconds=1))
    assert (after.cost, after.price) == (
        Decimal(7),
        PriceUsed(later.tariffs["standard"].rates, "2026-11-01", "2027-01-01"),
    )
    slow = attempt_end(1, deployment, answer, 1.0, asked=ServiceTier.FLEX)
    assert (slow.cost, slow.service_tier, slow.price) == (Decimal("0.5"), "flex", PriceUsed(flex.rates, "2026-11-01"))
    refused = attempt_end(
        1, deployment, Reply("hi", replace(usage, service_tier="standard")), 1.0, asked=ServiceTier.FLEX
    )
    assert (refused.cost, refused.service_tier, refused.price) == (Decimal(1), None, None)
    unknown = attempt_end(1, deployment, Reply("hi", replace(usage, service_tier="scale")), 1.0)
    assert (unknown.billed, unknown.cost, unknown.service_tier) == (Billed.YES, None, "scale")
