from decimal import Decimal
from typing import Any

import pytest

from pipelines.providers.openai_usage import read_usage
from synthralos.domain.money import Usage
from tests.fakes.calls import PRICE

PLAIN = {"prompt_tokens": 5, "completion_tokens": 2}
CACHED = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, Usage(5, 2)),
        (
            {
                "prompt_tokens": 50,
                "completion_tokens": 20,
                "total_tokens": 70,
                "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 15},
            },
            Usage(50, 20, cached=30, reasoning=15, cache_write=10),
        ),
        # xAI leaves reasoning out of completion_tokens, but not out of the total.
        (
            {**PLAIN, "total_tokens": 107, "completion_tokens_details": {"reasoning_tokens": 100}},
            Usage(5, 102, reasoning=100),
        ),
        ({**PLAIN, "total_tokens": 107}, None),
        ({**PLAIN, "total_tokens": 3}, None),
        ({**PLAIN, "total_tokens": 0}, Usage(5, 2)),
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, 2)),
        ({"prompt_tokens": 5.0, "completion_tokens": "2"}, Usage(5, 2)),
        ({**CACHED, "cached_tokens": 900}, Usage(1000, 20, cached=900)),
        ({**CACHED, "prompt_cache_hit_tokens": 960, "prompt_cache_miss_tokens": 40}, Usage(1000, 20, cached=960)),
        (
            {**CACHED, "cached_tokens": 900, "prompt_tokens_details": {"cached_tokens": 900}},
            Usage(1000, 20, cached=900),
        ),
        ({**CACHED, "cached_tokens": 900, "prompt_tokens_details": {"cached_tokens": 800}}, None),
        ({**CACHED, "input_tokens_details": {"cached_tokens": 900}}, Usage(1000, 20, cached=900)),
        # Anthropic's names: beside the input where the total, or their own API, says so; else within.
        (
            {
                "prompt_tokens": 88,
                "completion_tokens": 20,
                "total_tokens": 141377,
                "cache_read_input_tokens": 120269,
                "cache_creation_input_tokens": 21000,
            },
            Usage(141357, 20, cached=120269, cache_write=21000),
        ),
        ({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 3}, Usage(8, 2, cached=3)),
        ({**PLAIN, "cache_read_input_tokens": 30}, Usage(35, 2, cached=30)),
        ({**PLAIN, "total_tokens": 7, "cache_read_input_tokens": 3}, Usage(5, 2, cached=3)),
        ({"prompt_tokens": 3_000_000_000, "completion_tokens": 2}, None),
        ({"prompt_tokens": 2**31, "completion_tokens": 2, "total_tokens": 2**31 + 2}, None),
        (None, None),
        ({}, None),
        ({"prompt_tokens": 5}, None),
        ({"prompt_tokens": -5, "completion_tokens": 2}, None),
        ({"prompt_tokens": True, "completion_tokens": 2}, None),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 6}}, None),
    ],
)
def test_usage_is_read_or_unknown_but_never_guessed(usage: Any, expected: Usage | None) -> None:
    assert read_usage(usage) == expected


def test_what_gemini_thinks_is_what_its_total_has_beyond_the_rest() -> None:
    assert read_usage({**PLAIN, "total_tokens": 107}, thoughts_beside=True) == Usage(5, 102, reasoning=100)
    assert read_usage({**PLAIN, "total_tokens": 3}, thoughts_beside=True) is None


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        ({**CACHED, "cached_tokens": 900}, "0.00027"),
        ({**CACHED, "prompt_cache_hit_tokens": 960}, "0.000216"),
    ],
)
def test_cached_tokens_are_cheaper_whatever_their_name(usage: dict[str, Any], usd: str) -> None:
    found = read_usage(usage)
    assert found is not None
    assert PRICE.cost(found) == Decimal(usd)
