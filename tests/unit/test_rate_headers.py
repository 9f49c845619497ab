"""What the headers of answers say is left of a quota."""

import pytest

from pipelines.providers.rate_headers import left_in
from synthralos.domain.quota_units import Left, Unit

OPENAI = {
    b"x-ratelimit-limit-requests": b"600", b"x-ratelimit-remaining-requests": b"599",
    b"x-ratelimit-limit-tokens": b"90000", b"x-ratelimit-remaining-tokens": b"0", b"x-ratelimit-reset-tokens": b"6m0s",
}  # fmt: skip
ANTHROPIC = {
    b"anthropic-ratelimit-requests-limit": b"50", b"anthropic-ratelimit-requests-remaining": b"49",
    b"anthropic-ratelimit-tokens-limit": b"40000", b"anthropic-ratelimit-tokens-remaining": b"30000",
}  # fmt: skip
APART = {
    b"anthropic-ratelimit-input-tokens-limit": b"32000", b"anthropic-ratelimit-input-tokens-remaining": b"31000",
    b"anthropic-ratelimit-output-tokens-limit": b"8000", b"anthropic-ratelimit-output-tokens-remaining": b"7000",
}  # fmt: skip


def test_each_provider_s_names_are_understood() -> None:
    assert left_in({}) == ()
    assert left_in(OPENAI) == (Left(Unit.REQUESTS, 600, 599), Left(Unit.TOKENS, 90_000, 0))
    assert left_in(ANTHROPIC) == (Left(Unit.REQUESTS, 50, 49), Left(Unit.TOKENS, 40_000, 30_000))
    assert left_in(ANTHROPIC | APART) == (
        Left(Unit.REQUESTS, 50, 49),
        Left(Unit.INPUT_TOKENS, 32_000, 31_000),
        Left(Unit.OUTPUT_TOKENS, 8_000, 7_000),
    )


@pytest.mark.parametrize("odd", [b"", b"many", b"-1", b"1.5", b"9" * 40, "٣".encode(), b"0"])
def test_what_cannot_be_a_limit_is_none(odd: bytes) -> None:
    assert left_in({b"x-ratelimit-limit-requests": odd, b"x-ratelimit-remaining-requests": b"5"}) == ()


def test_of_several_counts_the_least_counts_and_more_than_the_limit_is_all_of_it() -> None:
    found = {b"x-ratelimit-limit-requests": b"600, 500", b"x-ratelimit-remaining-requests": b"900"}
    assert left_in(found) == (Left(Unit.REQUESTS, 500, 500),)
