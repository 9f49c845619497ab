"""OpenAI's chat-completions format: our request on the wire, and the wire's completion as a `Reply`.

Source: OpenAI API reference, "Create chat completion". `model`, `messages`, the limit on the answer, and what
is in `PASSED_ON` go over as they are.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Request
from synthralos.domain.money import Usage

PASSED_ON = ("temperature", "top_p", "stop", "seed", "tools", "tool_choice", "response_format")

RESERVED: Mapping[str, str] = {
    "model": "is the deployment's",
    "messages": "belongs in the request itself",
    "max_tokens": "belongs in max_output_tokens",
    "max_completion_tokens": "belongs in max_output_tokens",
    "n": "must stay 1: a job has one answer",
    "stream": "is the service's own business",
    "stream_options": "is the service's own business",
    "service_tier": "would change the price",
    "web_search_options": "would change the price",
    "modalities": "would change the price",
    "audio": "would change the price",
}
"""Provider options that are refused, and why: the books would no longer agree with the provider's bill."""


def check_options(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a request's options for an OpenAI-compatible provider: (field, problem) each."""
    return [(name, RESERVED[name]) for name in options if name in RESERVED]


def encode(request: Request, deployment: Deployment, max_tokens_field: str) -> bytes:
    """The JSON body of the call; raises `orjson.JSONEncodeError` for what JSON cannot hold (a lone surrogate)."""
    body = request.body
    wire: dict[str, Any] = {"model": deployment.upstream_model, "messages": body["messages"]}
    limit = body.get("max_output_tokens")
    if limit is not None:
        wire[max_tokens_field] = limit
    for name in PASSED_ON:
        value = body.get(name)
        if value is not None:
            wire[name] = value
    options = request.provider_options.get(deployment.provider)
    if options:
        wire.update(options)
    return orjson.dumps(wire)


def decode(body: bytes, request_id: str | None) -> Reply | Failure:
    """The completion in the body of an answer of status 200.

    What is not a completion is ambiguous: the provider did something, and may have billed it.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _not_a_completion("the answer is not JSON")
    choice = _first_choice(document)
    message = choice.get("message") if choice else None
    if choice is None or not isinstance(message, dict):
        return _not_a_completion("the answer has no choices[0].message")
    usage = read_usage(document.get("usage"))
    finish_reason = _text(choice.get("finish_reason"))
    if finish_reason == "content_filter":
        return Failure(FailureClass.CONTENT_FILTERED, "the provider withheld the answer", http_status=200, usage=usage)
    text = message.get("content")
    calls = message.get("tool_calls") or []
    if not (text is None or isinstance(text, str)) or not _are_objects(calls):
        return _not_a_completion("the answer's message has another form than text and tool calls")
    return Reply(
        text=_text(message.get("refusal")) if text is None else text,
        usage=usage,
        finish_reason=finish_reason,
        model=_text(document.get("model")),
        tool_calls=calls,
        provider_request_id=request_id or _text(document.get("id")),
    )


def read_usage(usage: object) -> Usage | None:
    """The tokens that were billed; None, which is unknown, where they are missing or contradict themselves.

    Tokens of `total_tokens` that are neither prompt nor completion are reasoning that the server did not count
    into the completion, but bills as output: the Gemini API and xAI do so.
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    read_details, write_details = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cached = cache_write = reasoning = 0
    if isinstance(read_details, dict):
        cached = _count(read_details.get("cached_tokens")) or 0
        cache_write = _count(read_details.get("cache_write_tokens")) or 0
    if isinstance(write_details, dict):
        reasoning = _count(write_details.get("reasoning_tokens")) or 0
    uncounted = max(0, (_count(usage.get("total_tokens")) or 0) - prompt - completion)
    output = completion + uncounted
    reasoning = max(reasoning, uncounted)
    if cached + cache_write > prompt or reasoning > output:
        return None
    return Usage(prompt, output, cached, reasoning, cache_write)


def _not_a_completion(problem: str) -> Failure:
    return Failure(FailureClass.AMBIGUOUS, f"{problem}; it may have been billed", http_status=200)


def _first_choice(document: object) -> dict[str, Any] | None:
    choices = document.get("choices") if isinstance(document, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def _are_objects(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, dict) for value in values)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
