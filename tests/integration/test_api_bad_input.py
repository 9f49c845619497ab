"""Bad input: a precise 4xx that names the field; nothing stored, nothing rung, nothing secret in the log."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from synthralos.domain.permissions import Role
from synthralos.store.sql.database import Database
from synthralos.store.tables import jobs
from tests.integration.api_place import JOBS, Place, api_over, core_over, fields_of

SECRET_TEXT = "the launch code is 0000"
PAST = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
FAR = (datetime.now(UTC) + timedelta(days=5000)).isoformat()
HELLO = {"prompt": "Hello"}
REMOTE = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "https://example.com/a"}}}


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database, max_body_bytes=100_000)) as place:
        yield place


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


WRONG: list[tuple[Any, str]] = [
    ({}, "prompt"),
    ("text", "body"),
    (None, "body"),
    (7, "body"),
    ([], "jobs"),
    ([HELLO] * 1001, "jobs"),
    ([HELLO, {"prompt": 5}], "jobs[1].prompt"),
    ([HELLO, 5], "jobs[1]"),
    ({**HELLO, "messages": [{"role": "user", "content": "x"}]}, "prompt"),
    ({**HELLO, "promt": "x"}, "promt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": " \n\t"}, "prompt"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "user", "content": ""}]}, "messages"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": "x", "mood": "sad"}]}, "messages[0].mood"),
    ({**HELLO, "model": "sandbox/smal"}, "model"),
    ({**HELLO, "model": ""}, "model"),
    ({**HELLO, "max_output_tokens": 0}, "max_output_tokens"),
    ({**HELLO, "max_output_tokens": "5"}, "max_output_tokens"),
    ({**HELLO, "max_output_tokens": True}, "max_output_tokens"),
    ({**HELLO, "max_output_tokens": 1.5}, "max_output_tokens"),
    ({**HELLO, "temperature": 2.1}, "temperature"),
    ({**HELLO, "temperature": "hot"}, "temperature"),
    ({**HELLO, "seed": 2**63}, "seed"),
    ({**HELLO, "seed": 10**30}, "seed"),
    ({**HELLO, "tool_choice": "maybe"}, "tool_choice"),
    ({**HELLO, "tools": [{"type": "function"}]}, "tools[0].function"),
    ({**HELLO, "response_format": {"type": "xml"}}, "response_format"),
    ({**HELLO, "response_format": REMOTE}, "response_format.json_schema.schema.$ref"),
    ({**HELLO, "constraints": {"max_cost_usd": -0.01}}, "constraints.max_cost_usd"),
    ({**HELLO, "constraints": {"max_cost_usd": "-1"}}, "constraints.max_cost_usd"),
    ({**HELLO, "constraints": {"max_cost_usd": "1e-3"}}, "constraints.max_cost_usd"),
    ({**HELLO, "constraints": {"max_cost_usd": True}}, "constraints.max_cost_usd"),
    ({**HELLO, "constraints": {"max_attempts": 21}}, "constraints.max_attempts"),
    ({**HELLO, "constraints": {"region": "moon"}}, "constraints.region"),
    ({**HELLO, "constraints": {"classification": "secret"}}, "constraints.classification"),
    ({**HELLO, "constraints": {"strategy": "random"}}, "constraints.strategy"),
    ({**HELLO, "constraints": {"pin": "sandbox/small"}}, "constraints.pin"),
    ({**HELLO, "constraints": {"exclude": ["sandbox/small@us", "x"]}}, "constraints.exclude[1]"),
    ({**HELLO, "constraints": {"budget": 1}}, "constraints.budget"),
    ({**HELLO, "deadline": PAST}, "deadline"),
    ({**HELLO, "deadline": FAR}, "deadline"),
    ({**HELLO, "deadline": "2090-01-01T00:00:00"}, "deadline"),
    ({**HELLO, "deadline": "2090-02-31T00:00:00Z"}, "deadline"),
    ({**HELLO, "deadline": 4102444800}, "deadline"),
    ({**HELLO, "deadline_seconds": 0}, "deadline_seconds"),
    ({**HELLO, "deadline_seconds": 1e300}, "deadline_seconds"),
    ({**HELLO, "deadline": FAR, "deadline_seconds": 5}, "deadline_seconds"),
    ({**HELLO, "lane": "express"}, "lane"),
    ({**HELLO, "metadata": {"a": None}}, "metadata.a"),
    ({**HELLO, "metadata": {"a": 10**20}}, "metadata.a"),
    ({**HELLO, "metadata": {str(n): n for n in range(17)}}, "metadata"),
    ({**HELLO, "run_id": "x" * 65}, "run_id"),
    ({**HELLO, "workspace": "a\nb"}, "workspace"),
    ({**HELLO, "user": ""}, "user"),
    ({**HELLO, "provider_options": {"sandbox": {"explode": 1}}}, "provider_options.sandbox.explode"),
    ({**HELLO, "provider_options": {"sandbox": {"failures": ["boredom"]}}}, "provider_options.sandbox.failures[0]"),
    ({**HELLO, "provider_options": {"nobody": {}}}, "provider_options.nobody"),
    ({"prompt": "a\0b"}, "prompt"),
    ([HELLO, {"messages": [{"role": "user", "content": "\0"}]}], "jobs[1].messages[0].content"),
    ({**HELLO, "metadata": {"a\0": "b"}}, "metadata.a?"),
    ({"prompt": "\ud800"}, "prompt"),
    ({"messages": [{"role": "user", "content": "x", "name": "\udc00"}]}, "messages[0].name"),
    ({**HELLO, "temperature": float("nan")}, "temperature"),
    ({**HELLO, "metadata": {"a": float("inf")}}, "metadata.a"),
    ({**HELLO, "tools": deep(40)}, "tools" + "[0]" * 31),
    ({str(n): n for n in range(5_001)}, "body"),
]


def test_what_is_wrong_is_a_422_that_names_the_field(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = place.client(Role.SERVICE)
    for body, field in WRONG:
        answer = client.post(JOBS, content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, (body, answer.text)
        assert field in fields_of(answer), (body, answer.text)
        assert all(error["problem"] and error["remedy"] for error in answer.json()["errors"])
    assert place.store.rows(jobs) == []
    assert place.doorbell.rings == []


def test_what_is_not_json_is_refused_as_it_comes(place: Place) -> None:
    client = place.client(Role.SERVICE)
    for raw in (b"", b"{", b'{"prompt": }', b"\xff\xfe", b'{"prompt": "a\x00"}'):
        answer = client.post(JOBS, content=raw, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
    for raw in (b"[" * 50_000, b'{"prompt": "\xed\xa0\x80"}'):
        assert client.post(JOBS, content=raw).status_code == 422
    assert place.store.rows(jobs) == []


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_a_415(place: Place, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = place.client().post(JOBS, content=b"\x1f\x8b", headers=headers)
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["detail"]


def test_what_is_declared_as_something_else_than_json_is_a_415(place: Place) -> None:
    client = place.client(Role.SERVICE)
    answer = client.post(JOBS, content=b'{"prompt": "a"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert client.post(JOBS, content=b'{"prompt": "a"}').status_code == 202


def test_a_body_over_the_limit_is_a_413_whether_announced_or_in_chunks(place: Place) -> None:
    client = place.client(Role.SERVICE)
    body = json.dumps({"prompt": "x" * 200_000}).encode()

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    assert client.post(JOBS, content=body).status_code == 413
    assert client.post(JOBS, content=chunks()).status_code == 413
    assert client.post(JOBS, content=iter([b'{"prompt"', b': "in chunks"}'])).status_code == 202
    assert len(place.store.rows(jobs)) == 1


def test_a_prompt_longer_than_any_plan_allows_is_refused(database: Database) -> None:
    with api_over(core_over(database)) as place:
        answer = place.client(Role.SERVICE).post(JOBS, json={"prompt": "x" * 8_000_001})
        assert answer.status_code == 422
        assert fields_of(answer) == ["prompt"]
        assert place.store.rows(jobs) == []


def test_an_idempotency_key_has_to_be_printable_and_short(place: Place) -> None:
    for key in ("", "x" * 256, "a\tb"):
        answer = place.client(Role.SERVICE).post(JOBS, json=HELLO, headers={"Idempotency-Key": key})
        assert answer.status_code == 422
        assert fields_of(answer) == ["header.Idempotency-Key"]


WRONG_QUERIES = [
    ("limit=0", "query.limit"),
    ("limit=201", "query.limit"),
    ("limit=many", "query.limit"),
    ("state=queued&state=lost", "query.state[1]"),
    ("stage=cook", "query.stage"),
    ("trace_id=xyz", "query.trace_id"),
    ("created_after=2026-01-01T00:00:00", "query.created_after"),
    ("created_before=0001-01-01T00:00:00%2B14:00", "query.created_before"),
    ("cursor=nonsense", "query.cursor"),
    ("model=a%00b", "query.model"),
    ("stat=queued", "query.stat"),
]


def test_a_wrong_query_parameter_is_named(place: Place) -> None:
    client = place.client(Role.VIEWER)
    for query, field in WRONG_QUERIES:
        answer = client.get(f"{JOBS}?{query}")
        assert answer.status_code == 422, answer.text
        assert fields_of(answer) == [field]


def test_operations_take_no_unknown_fields(place: Place) -> None:
    client = place.client()
    job_id = client.post(JOBS, json=HELLO).json()["id"]
    wrong = {
        "cancel": ({"why": "x"}, "why"),
        "retry": ({"reason": "x" * 501}, "reason"),
        "reroute": ({"classification": "none"}, "classification"),
    }
    for operation, (body, field) in wrong.items():
        answer = client.post(f"{JOBS}/{job_id}/{operation}", json=body)
        assert answer.status_code == 422
        assert fields_of(answer) == [field]
    assert place.store.state(job_id) == "queued"


def test_neither_prompts_nor_keys_are_logged_or_sent_back(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = place.key(Role.SERVICE)
    client = place.client_with(secret)
    bodies = [
        {"prompt": SECRET_TEXT, "model": 5},
        {"prompt": [SECRET_TEXT]},
        {"messages": [{"role": SECRET_TEXT, "content": {"type": SECRET_TEXT}}]},
        {"prompt": SECRET_TEXT + "\0"},
        {"prompt": SECRET_TEXT + "\ud800"},
        {"prompt": "x", "tool_choice": SECRET_TEXT, "deadline": SECRET_TEXT},
        {"prompt": SECRET_TEXT},
    ]
    texts = [client.post(JOBS, content=json.dumps(body)).text for body in bodies]
    texts.append(client.post(JOBS, content=f'{{"prompt": "{SECRET_TEXT}" oops'.encode()).text)
    said = "".join(texts) + caplog.text
    assert SECRET_TEXT not in said
    assert secret not in said


@pytest.mark.parametrize("query", ["limit=1&limit=2", "user=a&user=b&state=queued", "created_after=x&created_after=x"])
def test_a_parameter_that_is_given_twice_is_refused(place: Place, query: str) -> None:
    assert fields_of(place.client().get(f"{JOBS}?{query}"))[0] == f"query.{query.partition('=')[0]}"


def test_a_list_is_given_value_by_value(place: Place) -> None:
    assert place.client().get(f"{JOBS}?state=queued&state=active").status_code == 200
