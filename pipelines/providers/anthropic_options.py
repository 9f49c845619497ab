"""The provider options that Anthropic's messages are sent (`options` has the rules)."""

from collections.abc import Mapping
from typing import Any

from pipelines.providers.options import (
    IN_THE_REQUEST,
    OTHER_PRICE,
    OUR_BUSINESS,
    UNSEEN,
    OptionRules,
    flag,
    integer,
    one_of,
    settings,
    word,
)


def _metadata(value: Any) -> str | None:
    fits = isinstance(value, dict) and value.keys() == {"user_id"} and word(value["user_id"]) is None
    return None if fits else "must be an object with a user_id of 1 to 256 letters, digits and . _ : / @ -"


BELONGS_ELSEWHERE: Mapping[str, str] = {
    "model": "is the deployment's",
    "max_tokens": "belongs in max_output_tokens",
    "stop_sequences": "belongs in stop",
    "output_config": "belongs in response_format, and in the option effort",
    **dict.fromkeys(("messages", "system", "temperature", "top_p", "tools", "tool_choice"), IN_THE_REQUEST),
    "stream": OUR_BUSINESS,
    **dict.fromkeys(("service_tier", "speed", "inference_geo"), OTHER_PRICE),
    **dict.fromkeys(("container", "mcp_servers"), UNSEEN),
}
"""Options that no catalog can allow, and why."""

RULES = OptionRules(
    {
        "thinking": settings,
        "effort": one_of("low", "medium", "high", "xhigh", "max"),
        "disable_parallel_tool_use": flag,
        "top_k": integer(1, 1_000_000),
        "metadata": _metadata,
    },
    BELONGS_ELSEWHERE,
)
