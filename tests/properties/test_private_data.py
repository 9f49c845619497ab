"""Whatever a request looks like: what is sent holds none of its private values, and an answer gets all of them back."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.guard.private_data import PrivateDataGuard, kinds_to_redact
from pipelines.privacy.find import find, find_each
from pipelines.privacy.kinds import Kind
from pipelines.privacy.redaction import redact
from pipelines.providers.openai_wire import encode
from synthralos.domain.attempts import Reply
from synthralos.domain.findings import verdict_of
from synthralos.domain.jobs import Constraints, Request
from tests.fakes.stage_jobs import a_deployment, a_job

VALUES = [
    "jo@example.com", "ann.lee@example.org", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "+49 30 1234567",
    "536-90-4399", "sk-proj-abcdefghijklmnop1234567890", "AKIAIOSFODNN7EXAMPLE",
]  # fmt: skip
FILLERS = ["Hello", "é\n", '"quoted"', "\\n", "[EMAIL_1]", "[Email_7]", "", "{}", "日本"]
BEGINNINGS = [
    "password: ", "token=", "hunter22", "xoxb-1234567890", "eyJhbGciOiJI.eyJzdWIiOiIx.", "https://u:", "pw1234@h/",
    "-----BEGIN PRIVATE KEY-----", "X1234567L", "AB123456C", "078-05-1120", "call 555-123-4567", "RSSMRA85T10A562S",
    "SG.abcdefghijklmnop.", "abcdefghijklmno1",
]  # fmt: skip

texts = st.lists(st.sampled_from([*VALUES, *FILLERS]), max_size=6).map(" | ".join)
documents = st.dictionaries(st.sampled_from(["to", "note", "lines"]), texts | st.lists(texts, max_size=2), max_size=3)


def a_call(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "send", "arguments": json.dumps(arguments)}}


messages = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, texts),
    st.builds(lambda text: {"role": "user", "content": [{"type": "text", "text": text}]}, texts),
    st.builds(lambda found: {"role": "assistant", "content": None, "tool_calls": [a_call(found)]}, documents),
    st.builds(lambda text: {"role": "tool", "tool_call_id": "c1", "content": text}, texts),
)
tools = st.builds(
    lambda text: {"type": "function", "function": {"name": "send", "description": text, "parameters": {}}}, texts
)
requests = st.builds(
    lambda found, offered, user: Request(
        "auto", {"messages": found, "tools": offered}, {"openai": {"user": user}} if user else {}
    ),
    st.lists(messages, min_size=1, max_size=4),
    st.lists(tools, max_size=2),
    texts,
)


@settings(deadline=None)
@given(requests)
def test_nothing_private_is_sent_and_everything_comes_back(request: Request) -> None:
    job = a_job(body=request.body, constraints=Constraints(private_data="redact"))
    job.request = request
    before = orjson.dumps(request.body)
    finding = PrivateDataGuard("off", "off").inspect([job])[0]
    kinds = kinds_to_redact(verdict_of([] if finding is None else [finding]))
    redaction = redact(request, kinds)
    sent = encode(redaction.request, a_deployment(), "max_tokens").decode()
    asked = encode(request, a_deployment(), "max_tokens").decode()
    there = {value for value in VALUES if value in asked}
    assert not [value for value in VALUES if value in sent]
    assert there <= set(redaction.values.values())
    assert orjson.dumps(request.body) == before
    told = " and ".join(redaction.values)
    arguments = orjson.dumps({"all": told}).decode()
    reply = redaction.restored(Reply(told, None, tool_calls=[a_call({}) | {"function": {"arguments": arguments}}]))
    assert reply.text == " and ".join(redaction.values.values())
    assert orjson.loads(reply.tool_calls[0]["function"]["arguments"]) == {"all": reply.text}


@settings(deadline=None)
@given(requests)
def test_what_was_called_so_before_is_not_taken_for_a_placeholder(request: Request) -> None:
    redaction = redact(request, frozenset(Kind))
    assert redaction.restored(Reply("[EMAIL_1] [Email_7]", None)).text == "[EMAIL_1] [Email_7]" or not any(
        name in orjson.dumps(request.body).decode().upper() for name in redaction.values
    )


@settings(deadline=None)
@given(requests)
def test_it_is_the_same_each_time(request: Request) -> None:
    assert redact(request, frozenset(Kind)) == redact(request, frozenset(Kind))


SUSPICIOUS = st.text(st.sampled_from("0123456789aZé -_.@/()\u00a0\u2011;:=\n"), max_size=40)
TRIGGER = "\n;" + "0" * 30 + " aa00aa ; " + "a" * 20
"""What has every pattern look at a text, and is no private value."""


@given(st.lists(st.sampled_from([*VALUES, *FILLERS, "password=abc12345", "X1234567L"]) | SUSPICIOUS, max_size=5))
@settings(max_examples=300, deadline=None)
def test_a_look_before_the_patterns_passes_over_nothing(parts: list[str]) -> None:
    text = "".join(parts)
    assert find(text) == [found for found in find(text + TRIGGER) if found.end <= len(text)]


odd = st.text(st.sampled_from("aZ09 _-.:=/@\n\t\xa0é\u200b\ud800?,;\"'(){}[]"), max_size=40)
pieces = st.lists(st.sampled_from([*VALUES, *FILLERS, *BEGINNINGS]) | odd | st.text(max_size=8), max_size=5).map(
    "".join
)


@given(st.lists(pieces, max_size=8))
def test_a_batch_is_found_to_hold_what_each_of_its_texts_holds(batch: list[str]) -> None:
    assert find_each(batch) == [find(text) for text in batch]


@given(st.sampled_from(VALUES))
def test_a_value_is_found_wherever_it_stands_in_a_batch(value: str) -> None:
    long, around = "What is it? " * 12_000, ["ordinary", "", value]
    batch = [*around, long, *around, f"{long}{value}", "ordinary " * 4_000, *around * 2]
    assert [place for place, found in enumerate(find_each(batch)) if found] == [2, 6, 7, 11, 14]


@pytest.mark.parametrize(
    "least",
    [
        "password: hunter22", "token=abcdefg1", "call 555 1234", "a@b.de", "X1234567L", "AB123456C", "536-90-4399",
        "xoxb-1234567890", "AKIAABCDEFGHIJKLMN0P", "DE89370400440532013000", "-----BEGIN PRIVATE KEY-----",
    ],
)  # fmt: skip
def test_the_least_that_is_found_alone_is_found_in_a_batch(least: str) -> None:
    assert find(least)
    assert find_each(["ordinary", least, "ordinary"]) == [[], find(least), []]
