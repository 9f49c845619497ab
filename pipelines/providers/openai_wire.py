"""OpenAI's chat-completions format: our request on the wire. What comes back is `openai_answer`'s.

Source: OpenAI API reference, "Create chat completion". `model`, `messages`, the limit on the answer, and what
is in `PASSED_ON` go over as they are.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Request

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
        if value is not None and value != [] and value != {}:
            wire[name] = value
    if "tools" not in wire:
        wire.pop("tool_choice", None)
    options = request.provider_options.get(deployment.provider)
    if options:
        wire.update(options)
    return orjson.dumps(wire)
