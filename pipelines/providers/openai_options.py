"""The provider options that OpenAI-compatible servers are sent: a list of what is allowed, with what it may hold.

What is not on it is refused: an option that goes around guards, token counts, prices, residency, or the job's own
fields would make the books and the promises wrong. A deployment's `allow_options` in the catalog widens the list.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

BELONGS_ELSEWHERE: Mapping[str, str] = {
    "model": "is the deployment's",
    "messages": "belongs in the request itself",
    "max_tokens": "belongs in max_output_tokens",
    "max_completion_tokens": "belongs in max_output_tokens",
    "max_output_tokens": "belongs in the request itself",
    **dict.fromkeys(
        ("temperature", "top_p", "stop", "seed", "tools", "tool_choice", "response_format"),
        "belongs in the request itself",
    ),
    "n": "must stay 1: a job has one answer",
    "best_of": "must stay 1: a job has one answer",
    "stream": "is the service's own business",
    "stream_options": "is the service's own business",
    "service_tier": "would change the price",
    "web_search_options": "would change the price",
    "modalities": "would change the price",
    "audio": "would change the price",
}
"""Options that no catalog can allow, and why."""

_NAME = re.compile(r"[A-Za-z0-9_.:/@-]{1,256}")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_VERBOSITIES = ("low", "medium", "high")

Check = Callable[[Any], str | None]


def _flag(value: object) -> str | None:
    return None if type(value) is bool else "must be true or false"


def _number(least: float, most: float) -> Check:
    def check(value: object) -> str | None:
        fits = type(value) in (int, float) and math.isfinite(value) and least <= value <= most  # type: ignore[arg-type,operator]  # a number by now
        return None if fits else f"must be a number from {least:g} to {most:g}"

    return check


def _integer(least: int, most: int) -> Check:
    def check(value: object) -> str | None:
        fits = type(value) is int and least <= value <= most
        return None if fits else f"must be an integer from {least} to {most}"

    return check


def _one_of(*words: str) -> Check:
    return lambda value: None if value in words else f"must be one of: {', '.join(words)}"


def _name(value: object) -> str | None:
    named = isinstance(value, str) and _NAME.fullmatch(value)
    return None if named else "must be 1 to 256 letters, digits and . _ : / @ -"


def _logit_bias(value: Any) -> str | None:
    in_range = _number(-100, 100)
    fits = isinstance(value, dict) and len(value) <= 1024 and all(token.isdecimal() for token in value)
    return None if fits and not any(map(in_range, value.values())) else "must map tokens to numbers from -100 to 100"


def _settings(value: object) -> str | None:
    """Switches and numbers, in objects two levels deep: nothing that a model would read."""
    fits = isinstance(value, dict) and _is_settings(value, 3)
    return None if fits else "must be an object of switches, numbers and single words"


def _is_settings(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and len(value) <= 16 and all(_is_settings(v, depth - 1) for v in value.values())
    if isinstance(value, str):
        return len(value) <= 32 and _NAME.fullmatch(value) is not None
    return value is None or type(value) is bool or _number(-1e9, 1e9)(value) is None


ALLOWED: Mapping[str, Check] = {
    "reasoning_effort": _one_of(*_EFFORTS),
    "verbosity": _one_of(*_VERBOSITIES),
    "frequency_penalty": _number(-2, 2),
    "presence_penalty": _number(-2, 2),
    "repetition_penalty": _number(0, 10),
    "min_p": _number(0, 1),
    "top_k": _integer(-1, 1_000_000),
    "logit_bias": _logit_bias,
    "logprobs": _flag,
    "top_logprobs": _integer(0, 20),
    "parallel_tool_calls": _flag,
    "user": _name,
    "safety_identifier": _name,
    "prompt_cache_key": _name,
    "reasoning": _settings,
    "thinking": _settings,
    "thinking_config": _settings,
    "enable_thinking": _flag,
    "thinking_budget": _integer(-1, 1_000_000),
    "chat_template_kwargs": _settings,
}
"""The options, and what each may hold."""


def check_options(options: Mapping[str, Any], widened: Collection[str] = ()) -> list[tuple[str, str]]:
    """What is wrong with a request's options: (field, problem) each. `widened`: names that the catalog allows."""
    problems: list[tuple[str, str]] = []
    for name, value in options.items():
        if name in BELONGS_ELSEWHERE:
            problems.append((name, BELONGS_ELSEWHERE[name]))
        elif name in ALLOWED:
            problem = ALLOWED[name](value)
            problems += [] if problem is None else [(name, problem)]
        elif name not in widened:
            problems.append((name, "is not an option that is passed on; a deployment's allow_options may allow it"))
    return problems


def widened_by(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that a deployment's `allow_options` allows; raises `ValueError`, naming what is wrong."""
    names = options.get("allow_options", ())
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("options.allow_options: must be a list of names")
    refused = next((name for name in names if name in BELONGS_ELSEWHERE), None)
    if refused is not None:
        raise ValueError(f"options.allow_options: {refused} {BELONGS_ELSEWHERE[refused]}")
    return tuple(names)
