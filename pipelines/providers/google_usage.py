"""The tokens of an answer's `usageMetadata`. Source: Gemini API reference, "UsageMetadata"; "Pricing"."""

from pipelines.providers.counting import Unclear, count, is_possible
from synthralos.domain.money import Usage

USAGE = "usageMetadata"


def read_usage(usage: object) -> Usage | None:
    """The tokens that were billed; None, which is unknown, where they are missing or do not add up.

    Thoughts are billed as output and counted beside the answer; what tools brought in is billed as input. The API
    leaves out counts that are 0, so that a count that is missing has to agree with the total.
    """
    if not isinstance(usage, dict):
        return None
    try:
        prompt, answer, total = (
            count(usage.get(name)) for name in ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")
        )
        cached, thoughts, tools = (
            count(usage.get(name)) or 0
            for name in ("cachedContentTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
        )
    except Unclear:
        return None
    if prompt is None or (answer is None and total is None):
        return None
    found = Usage(prompt + tools, (answer or 0) + thoughts, cached=cached, reasoning=thoughts)
    return found if total in (None, found.input + found.output) and is_possible(found) else None
