import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.providers.http_failures import failure_of, read_error
from synthralos.domain.failures import Failure, FailureClass

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def judged(status: int, body: Any = None, headers: dict[str, str] | None = None) -> Failure:
    return failure_of(status, headers or {}, read_error(json.dumps(body).encode() if body else None), NOW)


def openai(code: str | None, kind: str = "invalid_request_error", message: str = "no") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def google(status: str, message: str = "no", details: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    return [{"error": {"code": 400, "message": message, "status": status, "details": details or []}}]


def anthropic(kind: str, message: str, code: str | None = None) -> dict[str, Any]:
    details = {} if code is None else {"details": {"error_code": code, "appeal_url": None}}
    return {"type": "error", "error": {"type": kind, "message": message, **details}, "request_id": "req_1"}


QUOTA = {"@type": "type.googleapis.com/google.rpc.QuotaFailure"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, None, FailureClass.INVALID_REQUEST),
        (404, openai("model_not_found"), FailureClass.UNSUPPORTED),
        (422, None, FailureClass.INVALID_REQUEST),
        (401, openai("invalid_api_key"), FailureClass.CREDENTIAL),
        (403, None, FailureClass.CREDENTIAL),
        (402, None, FailureClass.QUOTA_EXHAUSTED),
        (429, None, FailureClass.RATE_LIMITED),
        (429, openai("insufficient_quota", "insufficient_quota"), FailureClass.QUOTA_EXHAUSTED),
        (429, openai("credit_balance_exhausted"), FailureClass.QUOTA_EXHAUSTED),
        (429, openai("organization_spend_limit_exceeded"), FailureClass.QUOTA_EXHAUSTED),
        (400, openai("enforced_spend_limit_reached"), FailureClass.QUOTA_EXHAUSTED),
        (400, {"type": "error", "error": {"type": "billing_error", "message": "x"}}, FailureClass.QUOTA_EXHAUSTED),
        (400, openai(None, message="Your credit balance is too low to use the API."), FailureClass.QUOTA_EXHAUSTED),
        (413, openai("rate_limit_exceeded", "tokens"), FailureClass.RATE_LIMITED),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, FailureClass.OVERLOADED),
        (503, None, FailureClass.OVERLOADED),
        (500, None, FailureClass.SERVER_ERROR),
        (502, None, FailureClass.SERVER_ERROR),
        (408, None, FailureClass.TIMEOUT),
        (504, None, FailureClass.TIMEOUT),
        (302, None, FailureClass.SERVER_ERROR),
        (204, None, FailureClass.AMBIGUOUS),
        (400, openai("context_length_exceeded"), FailureClass.CONTEXT_LENGTH),
        (400, openai(None, message="prompt is too long: 210000 tokens > 200000"), FailureClass.CONTEXT_LENGTH),
        (400, {"message": "This model's maximum context length is 4096 tokens."}, FailureClass.CONTEXT_LENGTH),
        (400, google("INVALID_ARGUMENT", "exceeds the maximum number of tokens allowed"), FailureClass.CONTEXT_LENGTH),
        (500, openai(None, message="maximum context length"), FailureClass.CONTEXT_LENGTH),
        (400, openai("content_filter"), FailureClass.CONTENT_FILTERED),
        (400, {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}}, FailureClass.CONTENT_FILTERED),
        (400, google("INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}]), FailureClass.CREDENTIAL),
        (
            400,
            google("FAILED_PRECONDITION", "User location is not supported."),
            FailureClass.UNSUPPORTED,
        ),
        (403, google("PERMISSION_DENIED", details=[{"reason": "BILLING_DISABLED"}]), FailureClass.QUOTA_EXHAUSTED),
        (429, google("RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), FailureClass.QUOTA_EXHAUSTED),
        (429, google("RESOURCE_EXHAUSTED", "exceeded its monthly spending cap"), FailureClass.QUOTA_EXHAUSTED),
        (
            429,
            google("RESOURCE_EXHAUSTED", details=[{"violations": [{"quotaId": "PerMinute", "quotaValue": "0"}]}]),
            FailureClass.QUOTA_EXHAUSTED,
        ),
        (
            429,
            google("RESOURCE_EXHAUSTED", "No capacity", details=[{"reason": "MODEL_CAPACITY_EXHAUSTED"}]),
            FailureClass.OVERLOADED,
        ),
        (400, google("INVALID_ARGUMENT", "Function call is missing a thought_signature."), FailureClass.UNSUPPORTED),
        (429, anthropic("rate_limit_error", "x"), FailureClass.RATE_LIMITED),
        (429, anthropic("rate_limit_error", "x", "enforced_spend_limit_reached"), FailureClass.QUOTA_EXHAUSTED),
        (429, anthropic("rate_limit_error", "x", "contract_spend_limit_reached"), FailureClass.QUOTA_EXHAUSTED),
        (429, anthropic("rate_limit_error", "x", "ramp_limit_exceeded"), FailureClass.RATE_LIMITED),
        (400, anthropic("invalid_request_error", "x", "organization_on_hold"), FailureClass.CREDENTIAL),
        (
            400,
            anthropic("invalid_request_error", "You have reached your specified API usage limits."),
            FailureClass.QUOTA_EXHAUSTED,
        ),
        (
            400,
            anthropic("invalid_request_error", "`x` is deprecated for this model."),
            FailureClass.UNSUPPORTED,
        ),
        (400, anthropic("invalid_request_error", "tools.0.name: spending limit too low"), FailureClass.INVALID_REQUEST),
        (404, anthropic("not_found_error", "model: claude-0"), FailureClass.UNSUPPORTED),
        (413, anthropic("request_too_large", "x"), FailureClass.CONTEXT_LENGTH),
        (429, google("RESOURCE_EXHAUSTED"), FailureClass.RATE_LIMITED),
        (
            429,
            google("RESOURCE_EXHAUSTED", details=[{**QUOTA, "violations": [{"quotaId": "RequestsPerMinutePerModel"}]}]),
            FailureClass.RATE_LIMITED,
        ),
        (
            429,
            google("RESOURCE_EXHAUSTED", details=[{**QUOTA, "violations": [{"quotaId": "RequestsPerDayPerModel"}]}]),
            FailureClass.QUOTA_EXHAUSTED,
        ),
    ],
)
def test_an_error_answer_is_classified_by_what_it_says_first_and_its_status_last(
    status: int, body: Any, expected: FailureClass
) -> None:
    failure = judged(status, body)
    assert failure.failure_class is expected
    assert failure.http_status == status


@pytest.mark.parametrize("status", [400, 413, 422, 500])
@pytest.mark.parametrize(
    "text",
    [
        "the request exceeds the available context size. try increasing the context size",
        "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
        "Input is too long for requested model.",
        "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 20 `max_new_tokens`",
        "`inputs` must have less than 1024 tokens. Given: 1500",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "Requested token count exceeds the model's maximum context length of 4096 tokens.",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "the input length exceeds the context length",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ],
)
def test_a_window_that_is_too_small_is_recognized_in_the_words_of_every_server(status: int, text: str) -> None:
    for body in (openai(None, message=text), {"error": text}, {"object": "error", "message": text}, {"detail": text}):
        assert judged(status, body).failure_class is FailureClass.CONTEXT_LENGTH
    assert failure_of(status, {}, read_error(text.encode()), NOW).failure_class is FailureClass.CONTEXT_LENGTH


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((status, None) for status in (404, 405, 410, 451, 501)),
        (400, openai("unsupported_parameter", message="Unsupported parameter: 'max_tokens'")),
        (400, openai("unsupported_value", message="'temperature' does not support 0.2 with this model.")),
        (400, openai(None, message="max_tokens is too large: 32000. This model supports at most 16384")),
        (400, openai(None, message="`temperature` and `top_p` are not supported by this model")),
        (400, openai(None, message="The model `llama3` does not exist or you do not have access to it.")),
        (400, openai(None, message="This model does not support image input.")),
        (400, openai(None, message="Invalid parameter: 'response_format' of type 'json_schema' is not supported")),
        (400, openai(None, message="Conversation roles must alternate user/assistant")),
        (400, openai(None, message="Unrecognized request argument supplied: seed")),
        (400, google("FAILED_PRECONDITION", "User location is not supported.")),
        (403, openai("unsupported_country_region_territory", "request_forbidden")),
        (500, {"error": {"code": 404, "message": "no such model"}}),
    ],
)
def test_a_refusal_that_is_about_the_deployment_is_no_fault_of_the_request(status: int, body: Any) -> None:
    assert judged(status, body).failure_class is FailureClass.UNSUPPORTED


def test_a_refusal_of_the_request_itself_stays_one() -> None:
    assert judged(400, openai(None, message="messages.1.content: field required")).failure_class is (
        FailureClass.INVALID_REQUEST
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Bad gateway</html>", b"[]", b"null", b"7", b'"text"', b'{"error": 7}', b'{"error": {"message": 7}}'],
)
def test_any_body_of_an_error_answer_can_be_read(body: bytes) -> None:
    assert failure_of(502, {}, read_error(body), NOW).failure_class is FailureClass.SERVER_ERROR


def test_a_message_is_one_short_line_without_control_characters() -> None:
    failure = judged(400, openai(None, message="bad\nthing\x00 " + "x" * 5000))
    assert "\n" not in failure.message
    assert "\x00" not in failure.message
    assert len(failure.message) < 600


def test_google_says_how_long_to_wait_in_the_body() -> None:
    failure = judged(429, google("RESOURCE_EXHAUSTED", details=[{"retryDelay": "34.5s"}]))
    assert failure.retry_after == 34.5


USED_UP = "anthropic-ratelimit-tokens-remaining"
RESETS = {
    "anthropic-ratelimit-requests-remaining": "3",
    "anthropic-ratelimit-requests-reset": "2026-01-01T12:30:00Z",
    USED_UP: "0",
    "anthropic-ratelimit-tokens-reset": "2026-01-01T12:00:40Z",
    "anthropic-ratelimit-input-tokens-remaining": "0",
    "anthropic-ratelimit-input-tokens-reset": "2026-01-01T12:00:50Z",
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (RESETS, 50.0),
        ({**RESETS, "retry-after": "7"}, 7.0),
        ({**RESETS, "date": "Thu, 01 Jan 2026 12:00:30 GMT"}, 20.0),
        ({**RESETS, "anthropic-ratelimit-input-tokens-reset": "soon"}, 40.0),
        ({**RESETS, "anthropic-ratelimit-input-tokens-reset": "2026-01-01T12:00:50"}, 40.0),
        (
            {USED_UP: "0", "anthropic-ratelimit-tokens-reset": "9999-01-01T00:00:00Z"},
            None,
        ),
        ({USED_UP: "0"}, None),
        (
            {USED_UP: "5", "anthropic-ratelimit-tokens-reset": "2027-01-01T00:00:00Z"},
            None,
        ),
    ],
)
def test_a_limit_that_is_used_up_says_when_it_is_full_again(headers: dict[str, str], expected: float | None) -> None:
    assert judged(429, anthropic("rate_limit_error", "x"), headers).retry_after == expected
