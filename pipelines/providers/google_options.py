"""The provider options that Google's generateContent is sent (`options` has the rules), in the API's own spelling."""

import re
from collections.abc import Mapping
from typing import Any

from pipelines.providers.options import (
    IN_THE_REQUEST,
    ONE_ANSWER,
    OTHER_PRICE,
    UNSEEN,
    OptionRules,
    flag,
    integer,
    number,
    one_of,
    settings,
)

OF_THE_REQUEST = frozenset({"safetySettings"})
"""Options that are members of the request; all others are of its `generationConfig`."""

OF_EMBEDDINGS = frozenset({"taskType"})
"""Options of embeddings; all others are of chats."""

_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def _safety(value: Any) -> str | None:
    fits = isinstance(value, list) and len(value) <= 16 and all(map(_is_safety_setting, value))
    return None if fits else "must be a list of objects with a category and a threshold, such as BLOCK_ONLY_HIGH"


def _is_safety_setting(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"category", "threshold"}
        and all(isinstance(name, str) and _CONSTANT.fullmatch(name) is not None for name in value.values())
    )


BELONGS_ELSEWHERE: Mapping[str, str] = {
    "model": "is the deployment's",
    "maxOutputTokens": "belongs in max_output_tokens",
    "stopSequences": "belongs in stop",
    **dict.fromkeys(("responseMimeType", "responseSchema", "responseJsonSchema"), "belongs in response_format"),
    **dict.fromkeys(
        ("contents", "systemInstruction", "generationConfig", "temperature", "topP", "seed", "tools", "toolConfig"),
        IN_THE_REQUEST,
    ),
    "candidateCount": ONE_ANSWER,
    **dict.fromkeys(("serviceTier", "responseModalities", "speechConfig", "imageConfig"), OTHER_PRICE),
    "cachedContent": UNSEEN,
}
"""Options that no catalog can allow, and why."""

RULES = OptionRules(
    {
        "thinkingConfig": settings,
        "topK": integer(1, 1_000_000),
        "presencePenalty": number(-2, 2),
        "frequencyPenalty": number(-2, 2),
        "responseLogprobs": flag,
        "logprobs": integer(0, 20),
        "mediaResolution": one_of(*(f"MEDIA_RESOLUTION_{size}" for size in ("LOW", "MEDIUM", "HIGH"))),
        "safetySettings": _safety,
        "taskType": one_of(
            "RETRIEVAL_QUERY",
            "RETRIEVAL_DOCUMENT",
            "SEMANTIC_SIMILARITY",
            "CLASSIFICATION",
            "CLUSTERING",
            "QUESTION_ANSWERING",
            "FACT_VERIFICATION",
            "CODE_RETRIEVAL_QUERY",
        ),
    },
    BELONGS_ELSEWHERE,
)
