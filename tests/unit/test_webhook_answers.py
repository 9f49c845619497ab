"""What an endpoint's answer means for the delivery."""

import pytest

from pipelines.providers.transport.protocol import Answer
from scheduler.webhooks.channel import outcome_of
from synthralos.domain.delivering import LONGEST_PAUSE, TryAgain

NOON = b"Thu, 01 Jan 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({b"retry-after": b"42"}, 42),
        ({b"retry-after": b"Thu, 01 Jan 2026 12:00:42 GMT", b"date": NOON}, 42),
        ({b"retry-after": b"2000000"}, LONGEST_PAUSE),
        ({b"retry-after": b"soon"}, None),
        ({b"retry-after": b"\xff"}, None),
        ({}, None),
    ],
)
def test_an_endpoint_says_for_how_long_in_seconds_or_by_a_date(headers: dict[bytes, bytes], seconds: float) -> None:
    outcome = outcome_of(Answer(429, headers, b""))
    assert isinstance(outcome, TryAgain)
    assert outcome.after == seconds
