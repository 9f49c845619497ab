import json
from typing import Any

import orjson
import pytest

from pipelines.providers.openai_wire import encode
from pipelines.providers.table import check_provider_options
from synthralos.config.catalog import load_catalog
from synthralos.domain.jobs import Request
from tests.fakes import calls

DEPLOYMENT = calls.deployment(upstream_model="gpt-x")


def test_a_request_goes_over_with_all_its_parameters_and_no_others() -> None:
    parameters = {
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 7,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
        "response_format": {"type": "json_object"},
    }
    request = calls.request("hello", max_output_tokens=9, unknown=1, **parameters)
    sent = json.loads(encode(request, DEPLOYMENT, "max_tokens"))
    assert sent == {"model": "gpt-x", "messages": request.messages, "max_tokens": 9, **parameters}


def test_the_provider_options_of_this_provider_alone_go_over() -> None:
    options = {"openai": {"reasoning_effort": "low"}, "google": {"x": 1}}
    sent = json.loads(encode(calls.request(provider_options=options), DEPLOYMENT, "max_tokens"))
    assert sent["reasoning_effort"] == "low"
    assert "x" not in sent


def test_options_are_checked_by_the_provider_that_they_are_for() -> None:
    options: dict[str, Any] = {
        "openai": {"n": 2},
        "sandbox": {"text": 1},
        "nobody": {},
        "google": {"thinkingConfig": {"x": 1}},
    }
    fields = [field for field, _ in check_provider_options(options, load_catalog(None))]
    assert fields == ["openai.n", "sandbox.text", "nobody"]


def test_what_json_cannot_hold_is_not_sent() -> None:
    with pytest.raises(orjson.JSONEncodeError):
        encode(calls.request("\ud800"), DEPLOYMENT, "max_tokens")


@pytest.mark.parametrize(
    "empty", [{"tools": []}, {"tools": [], "tool_choice": "auto"}, {"stop": []}, {"tool_choice": "none"}]
)
def test_what_is_empty_is_left_out(empty: dict[str, Any]) -> None:
    sent = json.loads(encode(calls.request(**empty), DEPLOYMENT, "max_tokens"))
    assert sent.keys() == {"model", "messages"}


ANSWERED = {
    "role": "assistant",
    "content": None,
    "refusal": None,
    "annotations": [],
    "reasoning_content": "hm",
    "tool_calls": [
        {
            "id": "t1",
            "type": "function",
            "index": 0,
            "function": {"name": "f", "arguments": "{}", "more": 1},
            "extra_content": {"google": {"thought_signature": "x"}},
        }
    ],
}


def sent_messages(*messages: dict[str, Any], strict: bool) -> Any:
    request = Request("auto", {"messages": list(messages)})
    return json.loads(encode(request, DEPLOYMENT, "max_tokens", strict=strict))["messages"]


def test_what_an_answer_holds_beside_the_usual_goes_back_to_servers_that_may_know_it() -> None:
    [sent] = sent_messages(ANSWERED, strict=False)
    assert sent["reasoning_content"] == "hm"
    assert sent["tool_calls"] == ANSWERED["tool_calls"]


def test_and_is_left_out_where_it_would_be_refused() -> None:
    [sent] = sent_messages(ANSWERED, strict=True)
    plain = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert sent == {"role": "assistant", "tool_calls": [plain]}


@pytest.mark.parametrize("strict", [True, False])
def test_an_answer_without_anything_is_sent_back_as_an_empty_text(strict: bool) -> None:
    [sent] = sent_messages({"role": "assistant", "content": None, "tool_calls": []}, strict=strict)
    assert sent == {"role": "assistant", "content": ""}
