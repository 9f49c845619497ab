"""The provider options that OpenAI-compatible servers are sent (`options` has the rules)."""

from collections.abc import Mapping
from typing import Any

from pipelines.providers.options import (
    IN_THE_REQUEST,
    ONE_ANSWER,
    OTHER_PRICE,
    OUR_BUSINESS,
    Check,
    OptionRules,
    flag,
    integer,
    number,
    one_of,
    settings,
    word,
)

BELONGS_ELSEWHERE: Mapping[str, str] = {
    "model": "is the deployment's",
    "messages": IN_THE_REQUEST,
    "max_tokens": "belongs in max_output_tokens",
    "max_completion_tokens": "belongs in max_output_tokens",
    "max_output_tokens": IN_THE_REQUEST,
    **dict.fromkeys(
        ("temperature", "top_p", "stop", "seed", "tools", "tool_choice", "response_format"), IN_THE_REQUEST
    ),
    **dict.fromkeys(("n", "best_of"), ONE_ANSWER),
    **dict.fromkeys(("stream", "stream_options"), OUR_BUSINESS),
    **dict.fromkeys(("service_tier", "web_search_options", "modalities", "audio"), OTHER_PRICE),
}
"""Options that no catalog can allow, and why."""


def _logit_bias(value: Any) -> str | None:
    in_range = number(-100, 100)
    fits = isinstance(value, dict) and len(value) <= 1024 and all(token.isdecimal() for token in value)
    return None if fits and not any(map(in_range, value.values())) else "must map tokens to numbers from -100 to 100"


ALLOWED: Mapping[str, Check] = {
    "reasoning_effort": one_of("none", "minimal", "low", "medium", "high", "xhigh"),
    "verbosity": one_of("low", "medium", "high"),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "repetition_penalty": number(0, 10),
    "min_p": number(0, 1),
    "top_k": integer(-1, 1_000_000),
    "logit_bias": _logit_bias,
    "logprobs": flag,
    "top_logprobs": integer(0, 20),
    "parallel_tool_calls": flag,
    "user": word,
    "safety_identifier": word,
    "prompt_cache_key": word,
    "reasoning": settings,
    "thinking": settings,
    "thinking_config": settings,
    "enable_thinking": flag,
    "thinking_budget": integer(-1, 1_000_000),
    "chat_template_kwargs": settings,
}
"""The options, and what each may hold."""

RULES = OptionRules(ALLOWED, BELONGS_ELSEWHERE)
check_options, widened_by = RULES.check, RULES.widened_by
