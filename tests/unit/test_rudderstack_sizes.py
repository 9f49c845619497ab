"""No event and no request is larger than a data plane takes, and an event says what was cut of it."""

from typing import Any

import orjson
import pytest

from pipelines.analyze.exporters.rudderstack.sizes import MOST_EVENT, body, encode

TEXTS = {"letters": "x", "quotes": '"', "controls": "\x00", "emoji": "👩", "umlauts": "ü"}


def event(**properties: Any) -> dict[str, Any]:
    return {"type": "track", "messageId": "m", "properties": {"job_id": "j" * 36, **properties}}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_event_that_is_too_large_is_cut_and_says_what_was_cut(text: str) -> None:
    encoded = encode(event(request=text * 60_000, result=text * 60_000, state="ok", metadata={"n": text * 512, "m": 1}))
    assert MOST_EVENT // 10 < len(encoded) <= MOST_EVENT
    said = orjson.loads(encoded)["properties"]
    assert {"request", "result"} <= set(said["trimmed"])
    assert said["request"].startswith(text)
    assert "of 60000 characters are cut" in said["request"]
    assert (said["state"], said["job_id"]) == ("ok", "j" * 36)


def test_an_event_that_fits_is_sent_as_it_is() -> None:
    whole = event(request="x" * 29_000)
    assert orjson.loads(encode(whole)) == whole


def test_an_event_of_many_texts_fits_in_the_end() -> None:
    many = {f"text{number}": "x" * 2_000 for number in range(100)}
    assert len(encode(event(**many))) <= MOST_EVENT


def test_cutting_does_not_depend_on_how_large_a_text_is() -> None:
    assert len(encode(event(request="x" * 20_000_000))) <= MOST_EVENT


def test_a_request_holds_its_events_and_when_it_was_sent() -> None:
    made = orjson.loads(body([encode(event()), encode(event())], "2026-01-31T12:00:00.000000Z"))
    assert made == {"batch": [event(), event()], "sentAt": "2026-01-31T12:00:00.000000Z"}
