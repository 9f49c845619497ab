"""`max_cost_usd` is a bound: what is asked of a deployment cannot cost more, however the prompt is billed."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pipelines.spending import OTHER_TOKENIZERS, billed_at_most, capped
from pipelines.tokens import TokenCounter, encoding_for, prompt_texts
from synthralos.domain.jobs import Request
from synthralos.domain.money import Price, Rates, Usage
from tests.fakes.stage_jobs import a_deployment

COUNTER = TokenCounter()
dollars = st.decimals("0", "100", places=4)
texts = st.text(max_size=400)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    more = {name: draw(st.none() | dollars) for name in ("cached", "cache_write", "cache_write_1h")}
    start = draw(st.integers(1, 200))
    return Price(draw(dollars), draw(dollars), **more, above=((start, Rates(draw(dollars), draw(dollars))),))


def request(text: str, output: int | None) -> Request:
    limit = {} if output is None else {"max_output_tokens": output}
    return Request("auto", {"messages": [{"role": "user", "content": text}], **limit})


@given(texts, prices(), st.decimals("0", "0.05", places=6), st.none() | st.integers(1, 5_000), st.data())
def test_no_call_can_cost_more_than_it_may(
    text: str, price: Price, most: Decimal, wanted: int | None, data: st.DataObject
) -> None:
    deployment = replace(a_deployment(max_output=4_000), price=price)
    asked = capped(request(text, wanted), deployment, most, COUNTER)
    if asked is None:
        return
    # The provider bills as it likes, within what its tokenizer may make of the text.
    tokens = data.draw(st.integers(0, billed_at_most(asked, COUNTER)))
    read = data.draw(st.integers(0, tokens))
    written = data.draw(st.integers(0, tokens - read))
    limit = asked.max_output_tokens
    assert limit is not None
    hour = data.draw(st.integers(0, written)) if price.rates(tokens).cache_write_1h is not None else 0
    assert price.cost(Usage(tokens, limit, read, cache_write=written, cache_write_1h=hour)) <= most


@given(texts)
def test_what_openai_bills_for_a_prompt_is_within_the_bound(text: str) -> None:
    asked = request(text, None)
    counted = COUNTER.count(prompt_texts(asked), encoding_for("auto"))
    assert counted <= billed_at_most(asked, COUNTER) <= counted * OTHER_TOKENIZERS + 1


@given(texts, st.integers(1, 9_000))
def test_what_the_sender_limits_is_asked_for_as_it_is_or_not_at_all(text: str, wanted: int) -> None:
    deployment = replace(a_deployment(), price=Price(Decimal(1), Decimal(2)))
    asked = request(text, wanted)
    assert capped(asked, deployment, Decimal("0.005"), COUNTER) in (asked, None)


def test_the_limit_never_exceeds_what_the_deployment_gives() -> None:
    deployment = replace(a_deployment(max_output=300), price=Price(Decimal(0), Decimal(0)))
    asked = capped(request("Hello", None), deployment, Decimal(1), COUNTER)
    assert asked is not None
    assert asked.max_output_tokens == 300


def test_without_a_price_nothing_is_promised() -> None:
    assert capped(request("Hello", None), replace(a_deployment(), price=None), Decimal(1), COUNTER) is None
