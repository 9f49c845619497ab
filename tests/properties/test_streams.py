"""Streams of anything: the reader of events, and every assembly, take whatever a server may write."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.providers import anthropic_answer, google_answer, openai_answer, responses_answer
from pipelines.providers.anthropic_stream import AnthropicAssembly
from pipelines.providers.assembly import Assembly, Unreadable
from pipelines.providers.google_stream import GoogleAssembly
from pipelines.providers.openai_stream import OpenAIAssembly
from pipelines.providers.responses_stream import ResponsesAssembly
from pipelines.providers.sse import EventStream, ServerEvent, TooLongEvent
from synthralos.domain.attempts import Reply
from synthralos.domain.deltas import Place
from synthralos.domain.failures import Failure
from tests.fakes import streams

ASSEMBLIES: dict[str, tuple[type[Assembly], Any]] = {
    "anthropic": (AnthropicAssembly, anthropic_answer.decode),
    "google": (GoogleAssembly, google_answer.decode),
    "openai": (OpenAIAssembly, openai_answer.decode),
    "openai responses": (ResponsesAssembly, responses_answer.decode),
}
SEEDS = {
    "anthropic": streams.ANTHROPIC,
    "google": streams.GOOGLE,
    "openai": streams.OPENAI,
    "openai responses": streams.RESPONSES,
}
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def _spoilt(value: Any, draw: Any) -> Any:
    """The value with some of its inner values replaced by anything."""
    if draw(st.integers(0, 14)) == 0:
        return draw(ANYTHING)
    if isinstance(value, dict):
        return {name: _spoilt(inner, draw) for name, inner in value.items()}
    if isinstance(value, list):
        return [_spoilt(inner, draw) for inner in value]
    return value


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_the_reader_takes_any_bytes_and_how_they_are_cut_makes_no_difference(pieces: list[bytes]) -> None:
    whole, cut = EventStream(), EventStream()
    expected = list(whole.feed(b"".join(pieces)))
    assert [event for piece in pieces for event in cut.feed(piece)] == expected


@given(st.integers(1, 30), st.lists(st.sampled_from([b"data: abcdefgh\n", b"data", b"x" * 9, b"\r\n"]), max_size=9))
def test_nothing_longer_than_the_limit_is_kept(limit: int, pieces: list[bytes]) -> None:
    stream = EventStream(limit)
    try:
        for piece in pieces:
            for event in stream.feed(piece):
                assert len(event.data) <= limit
    except TooLongEvent:
        assert len(b"".join(pieces)) > limit


@pytest.mark.parametrize("name", sorted(ASSEMBLIES))
@given(data=st.data())
def test_an_assembly_takes_anything_and_its_document_has_a_meaning(name: str, data: st.DataObject) -> None:
    build, decode = ASSEMBLIES[name]
    shape = data.draw(st.sampled_from(sorted(SEEDS[name])))
    assembly = build()
    for event in SEEDS[name][shape]:
        spoilt = event if isinstance(event, str) else json.dumps(_spoilt(event, data.draw))
        try:
            delta = assembly.take(ServerEvent("message", spoilt))
        except Unreadable:
            continue
        assert isinstance(delta.text + delta.reasoning, str)
        orjson.dumps([delta.text, delta.reasoning, *(tool.to_json() for tool in delta.tools)])
    assert isinstance(decode(orjson.dumps(assembly.document()), {}), Reply | Failure)
    assert assembly.known_input is None or assembly.known_input >= 0


def test_a_block_whose_type_is_no_word_is_kept_as_it_came() -> None:
    assembly = AnthropicAssembly()
    for event in (
        {"type": "content_block_start", "index": 0, "content_block": {"type": ["tool_use"]}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{"}},
    ):
        assembly.take(ServerEvent("message", json.dumps(event)))
    assert assembly.document()["content"] == [{"type": ["tool_use"]}]


@given(data=st.data())
def test_events_of_a_response_in_any_order_and_number_leave_one_call_for_each_place(data: st.DataObject) -> None:
    events = [event for shape in streams.RESPONSES.values() for event in shape if isinstance(event, dict)]
    assembly, names = ResponsesAssembly(), dict[int, int]()
    for event in data.draw(st.lists(st.sampled_from(events), max_size=30)):
        for tool in assembly.take(ServerEvent("message", json.dumps(event))).tools:
            names[tool.index] = names.get(tool.index, 0) + (tool.name is not None)
    assert set(names) == set(range(len(names)))
    assert all(count == 1 for count in names.values())
    answer = responses_answer.decode(orjson.dumps(assembly.document()), {})
    assert isinstance(answer, Reply | Failure)
    assert answer.usage is None or (answer.usage.input, answer.usage.output) == (9, 5)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_a_place_is_read_as_it_was_written(attempt: int, chunk: int, text: int, reasoning: int) -> None:
    place = Place(attempt, chunk, text, reasoning)
    assert Place.read(str(place)) == place


@given(st.text())
def test_what_is_no_place_is_the_beginning(written: str) -> None:
    assert Place.read(written) == Place() or str(Place.read(written)).count(".") == 3
