"""From a document to jobs without any HTTP: what every door may rely on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.intake.catalog_checks import CatalogChecks
from pipelines.intake.errors import MOST_ERRORS, ForeignTenant, InvalidJob
from pipelines.intake.parse import MOST_CHARACTERS, build, parse
from pipelines.intake.schema import JobIn
from synthralos.config.catalog import load_catalog
from synthralos.domain.jobs import NewJob
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Lane

NOW = datetime(2030, 1, 31, tzinfo=UTC)
CHECKS = CatalogChecks(load_catalog(None))
SCHEMA_FIELD = "response_format.json_schema.schema"
PLANS = {"default": "free", "acme": "pro"}


def jobs_of(document: Any, scope: Scope = EVERYTHING) -> list[NewJob]:
    return build(parse(document, CHECKS, NOW), scope, PLANS, None, NOW)


def errors_of(document: Any) -> dict[str, str]:
    with pytest.raises(InvalidJob) as raised:
        parse(document, CHECKS, NOW)
    assert all(error.remedy for error in raised.value.errors)
    return {error.field: error.problem for error in raised.value.errors}


def test_one_document_is_one_interactive_job_and_many_are_bulk() -> None:
    [one] = jobs_of({"prompt": "Hello"})
    assert (one.lane, one.request.body) == (Lane.INTERACTIVE, {"messages": [{"role": "user", "content": "Hello"}]})
    assert [job.lane for job in jobs_of([{"prompt": "a"}, {"prompt": "b", "lane": "interactive"}])] == [
        Lane.BULK,
        Lane.INTERACTIVE,
    ]


def in_form(schema: dict[str, Any]) -> dict[str, Any]:
    """A job whose answer is to fit the schema."""
    return {"prompt": "a", "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


def test_a_schema_that_answers_can_be_held_against_is_stored_as_it_was_sent() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"pattern": "^a+$"}}}
    [job] = jobs_of(in_form(schema))
    assert job.request.body["response_format"]["json_schema"]["schema"] == schema


def test_a_deadline_counts_from_now_and_no_two_jobs_share_an_id() -> None:
    first, second = jobs_of([{"prompt": "a", "deadline_seconds": 60}, {"prompt": "a"}])
    assert (first.deadline, second.deadline) == (NOW + timedelta(seconds=60), None)
    assert first.id != second.id


METADATA = "http://169.254.169.254/latest"
"""An address inside, to which no tenant's job may send a worker."""


def repaired_by(model: str, **constraints: Any) -> dict[str, Any]:
    return {"prompt": "a", "constraints": {"repair_model": model, **constraints}}


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": "x" * (MOST_CHARACTERS + 1)}, "prompt"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "b"}]}, "prompt"),
        ({"prompt": "a", "colour": "red"}, "colour"),
        ({"prompt": "a", "model": "gpt-9"}, "model"),
        ({"prompt": "a", "deadline": "2029-01-01T00:00:00Z"}, "deadline"),
        ({"prompt": "a", "constraints": {"region": "moon"}}, "constraints.region"),
        ({"prompt": "a", "provider_options": {"openai": {"base_url": METADATA}}}, "provider_options.openai.base_url"),
        (repaired_by("nobody"), "constraints.repair_model"),
        (repaired_by("cheapest", pin="sandbox/small@us"), "constraints.repair_model"),
        (repaired_by("cheapest", fallback=False), "constraints.repair_model"),
        (repaired_by("cheapest", repair="again"), "constraints.repair_model"),
        ({"prompt": "a", "metadata": {"n": 2**64}}, "metadata.n"),
        (in_form({"properties": {"a": {"type": "strin"}}}), f"{SCHEMA_FIELD}.properties.a.type"),
        (in_form({"allOf": [{"$ref": "https://example.com/a"}]}), f"{SCHEMA_FIELD}.allOf[0].$ref"),
        (in_form({"pattern": "(?=a)"}), f"{SCHEMA_FIELD}.pattern"),
        (in_form({"anyOf": [{"items": {"$ref": "#"}}] * 9}), SCHEMA_FIELD),
        (in_form({"description": "x" * 300_000}), SCHEMA_FIELD),
        ([{"prompt": "a"}, in_form({"minItems": -1})], f"jobs[1].{SCHEMA_FIELD}.minItems"),
        ([{"prompt": "a"}, {"prompt": 7}], "jobs[1].prompt"),
        ([], "jobs"),
        ("a job", "body"),
        (None, "body"),
        ([[]], "jobs[0]"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(document: Any, field: str) -> None:
    assert list(errors_of(document)) == [field]


@pytest.mark.parametrize(
    ("document", "meant"),
    [
        ({"promt": "a"}, "prompt"),
        ({"prompt": "a", "max_tokens": 9}, "max_output_tokens"),
        ({"prompt": "a", "region": "eu"}, "constraints"),
        ({"prompt": "a", "constraints": {"max_cost": "0.1"}}, "max_cost_usd"),
        ({"prompt": "a", "constraints": {"lane": "bulk"}}, "beside constraints"),
        ([{"promt": "a"}], "prompt"),
    ],
)
def test_an_unknown_field_is_answered_with_what_was_meant(document: Any, meant: str) -> None:
    with pytest.raises(InvalidJob) as raised:
        parse(document, CHECKS, NOW)
    assert meant in raised.value.errors[0].remedy


def test_an_unknown_field_that_is_like_none_gets_no_guess() -> None:
    with pytest.raises(InvalidJob) as raised:
        parse({"prompt": "a", "zzz": 1}, CHECKS, NOW)
    assert not any(name in raised.value.errors[0].remedy for name in JobIn.model_fields)


def test_all_that_is_wrong_is_told_at_once_within_a_bound() -> None:
    assert set(errors_of({"prompt": 1, "lane": "slow", "colour": "red"})) == {"prompt", "lane", "colour"}
    assert len(errors_of([{"prompt": 1}] * 1000)) <= MOST_ERRORS


def test_a_job_for_another_tenant_is_told_apart_from_one_that_is_wrong() -> None:
    with pytest.raises(ForeignTenant) as raised:
        jobs_of([{"prompt": "a"}, {"prompt": "b", "organization": "other"}], Scope("acme"))
    [error] = raised.value.errors
    assert error.field == "jobs[1].organization"


def test_the_exception_reads_well_in_a_log_and_repeats_no_value() -> None:
    with pytest.raises(InvalidJob) as raised:
        parse({"prompt": "a", "model": 12345678}, CHECKS, NOW)
    assert str(raised.value) == "model must be a string: send a string"


RESULT_CALL = {
    "id": "t1",
    "type": "function",
    "function": {"name": "f", "arguments": "{}"},
    "index": 0,
    "extra_content": {"google": {"thought_signature": "x"}},
}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [RESULT_CALL]},
        {"role": "assistant", "content": "hi", "tool_calls": []},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "content": "hi", "reasoning_content": "hm", "annotations": [], "audio": None},
        {"role": "assistant", "content": "hi", "reasoning_details": [{"type": "x"}], "function_call": None},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}]},
    ],
)
def test_what_a_job_answers_can_be_sent_back_as_it_is(message: dict[str, Any]) -> None:
    [job] = jobs_of({"messages": [{"role": "user", "content": "Hello"}, message]})
    assert job.request.messages[1] == message


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "user", "content": "x", "reasoning_content": "hm"}, "messages[0].reasoning_content"),
        ({"role": "user", "content": [{"type": "thinking", "thinking": "hm"}]}, "messages[0].content[0]"),
        ({"role": "tool", "content": "x", "tool_call_id": "t", "is_error": True}, "messages[0].is_error"),
    ],
)
def test_the_messages_of_others_stay_closed(message: dict[str, Any], field: str) -> None:
    assert list(errors_of({"messages": [message]})) == [field]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://169.254.169.254/latest", "http://[::1]/"])
def test_images_come_from_the_public_web_alone(url: str) -> None:
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": url}}]
    assert list(errors_of({"messages": [{"role": "user", "content": content}]})) == [
        "messages[0].content[1].image_url.url"
    ]
