"""What the fake provider server may be told to do with a call, and the answers it gives as OpenAI."""

import json
from dataclasses import dataclass, field, fields
from typing import Any

CHUNKS = 16


@dataclass(frozen=True)
class Behavior:
    """How calls are treated. The default answers at once with a completion.

    - `status`, `headers`: of the answer; `body` its JSON, `raw` its text as it stands (garbage, for instance).
    - `text`, `finish_reason`, `tool_calls`: of the completion. `usage`: false leaves it out, a dict replaces it.
    - `delay`: seconds before the answer. `hang`: until `POST /release`. `trickle`: seconds between the answer's parts.
    - `close`: `before_reply` or `mid_reply` cuts the connection there.
    - `billed`: overrides what a provider would do, which is to bill what it answers with 200.
    - `times`: for so many calls; after them the default applies again. None: for all.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    raw: str | None = None
    text: str | None = None
    finish_reason: str = "stop"
    tool_calls: list[dict[str, Any]] | None = None
    usage: Any = True
    delay: float = 0.0
    hang: bool = False
    trickle: float = 0.0
    close: str | None = None
    billed: bool | None = None
    times: int | None = None

    @property
    def bills(self) -> bool:
        return self.status == 200 if self.billed is None else self.billed

    @property
    def replies(self) -> bool:
        """Whether the whole of a valid completion is going to be sent."""
        return self.status == 200 and self.close is None and self.raw is None and self.body is None


FIELDS = frozenset(f.name for f in fields(Behavior))


def tokens(text: str) -> int:
    return (len(text.encode("utf-8", "replace")) + 3) // 4


def prompt_tokens(messages: list[dict[str, Any]]) -> int:
    return sum(3 + tokens(json.dumps(message.get("content"), ensure_ascii=False)) for message in messages)


def completion(request: dict[str, Any], behavior: Behavior, number: int) -> dict[str, Any]:
    """A chat completion as OpenAI writes it, for a request's JSON."""
    prompt = prompt_tokens(request["messages"])
    text = f"answer {number}" if behavior.text is None else behavior.text
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    if behavior.tool_calls:
        message |= {"content": None, "tool_calls": behavior.tool_calls}
    document: dict[str, Any] = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_767_225_600 + number,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": behavior.finish_reason}],
        "service_tier": "default",
        "system_fingerprint": None,
    }
    if behavior.usage:
        document["usage"] = _usage(prompt, tokens(text)) if behavior.usage is True else behavior.usage
    return document


def billed_tokens(document: dict[str, Any], request: dict[str, Any]) -> tuple[int, int]:
    """(input, output) of a completion: what its usage says, or would say."""
    usage = document.get("usage") or _usage(prompt_tokens(request["messages"]), 1)
    return usage["prompt_tokens"], usage["completion_tokens"]


def _usage(prompt: int, answer: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """An error body as OpenAI writes it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
