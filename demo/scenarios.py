"""What the demo asks for: its prompts, spread over models and plans, and the trouble that some of them meet.

The trouble is injected through the sandbox's own options (`provider_options`), the only pretense there is: guard,
route, execute, heal and analyze meet it as they would meet a real provider's. The same number of prompts always makes
the same jobs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from random import Random
from typing import Any

from synthralos.domain.failures import FailureClass as F

Request = dict[str, Any]

PLANS: Mapping[str, str] = {"demo-free": "free", "demo-pro": "pro", "demo-enterprise": "enterprise"}
"""The organizations that the prompts are spread over, and their plans."""

MODELS = ("auto", "auto", "auto", "sandbox/small", "sandbox/medium", "sandbox/large")

OVERSIZED = 170_000
"""Characters: more than the free plan takes, less than the pro plan does."""

PRIVATE = " Send the answer to jo@example.com, or call +49 30 1234567."

_SEED = 20260314
_SHARE = 0.015
"""Part of the prompts that each kind of trouble meets."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of trouble: the sandbox's options, and what else the job asks for."""

    name: str
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    organization: str | None = None
    oversized: bool = False
    cancelled: bool = False
    private: bool = False


_EU = {"model": "auto", "constraints": {"classification": "eu"}}
_AUTO = {"model": "auto"}

SHOWN = "overloaded twice"
"""The scenario whose first job is shown as a timeline: a wait, a retry, and a fallback."""

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(SHOWN, {"failures": [F.OVERLOADED, F.OVERLOADED], "delay_seconds": 0.15}, _AUTO),
    Scenario("rate limited", {"failures": [F.RATE_LIMITED], "retry_after_seconds": 20.0}, _AUTO),
    Scenario("EU data", {}, _EU),
    Scenario("EU data, rate limited for 1 s", {"failures": [F.RATE_LIMITED], "retry_after_seconds": 1.0}, _EU),
    Scenario("timeout", {"failures": [F.TIMEOUT]}, _AUTO),
    Scenario("server error", {"failures": [F.SERVER_ERROR]}, _AUTO),
    Scenario("connection lost", {"failures": [F.CONNECTION]}, _AUTO),
    Scenario("quota exhausted", {"failures": [F.QUOTA_EXHAUSTED]}, _AUTO),
    Scenario("invalid request", {"failures": [F.INVALID_REQUEST]}),
    Scenario("content filtered", {"failures": [F.CONTENT_FILTERED]}),
    Scenario("answer does not fit its schema", {"failures": [F.SCHEMA_MISMATCH]}, _AUTO),
    Scenario("private data replaced", {}, {"constraints": {"private_data": "redact"}}, private=True),
    Scenario("private data refused", {}, {"constraints": {"private_data": "refuse"}}, private=True),
    Scenario("oversized for the free plan", {}, _AUTO, "demo-free", oversized=True),
    Scenario("same size on the pro plan", {}, _AUTO, "demo-pro", oversized=True),
    Scenario("deadline passes", {"delay_seconds": 30.0}, {"model": "auto", "deadline_seconds": 1.0}),
    Scenario("cancelled", {"delay_seconds": 30.0}, {"model": "auto"}, cancelled=True),
)
_ONCE = frozenset(
    {
        "oversized for the free plan", "same size on the pro plan", "deadline passes", "cancelled",
        "answer does not fit its schema", "private data replaced", "private data refused",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """One job to submit, and the scenario that it plays (None: nothing happens to it)."""

    request: Request
    scenario: Scenario | None

    @property
    def organization(self) -> str:
        """Whose job it is."""
        return str(self.request["organization"])


def prompts() -> list[Request]:
    """The shipped prompts, as they stand in `prompts.jsonl`."""
    text = resources.files(__package__).joinpath("prompts.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def orders(count: int | None = None) -> list[Order]:
    """The jobs of a demo of `count` prompts (all of them by default), in the order in which they are submitted."""
    chosen = prompts()[:count]
    random = Random(_SEED)
    # Requests for tools or for JSON keep to themselves: the scenarios say which model a job asks for.
    plain = [number for number, prompt in enumerate(chosen) if "tools" not in prompt]
    random.shuffle(plain)
    troubled: dict[int, Scenario] = {}
    for scenario in SCENARIOS:
        for _ in range(1 if scenario.name in _ONCE else max(1, round(_SHARE * len(chosen)))):
            if plain:
                troubled[plain.pop()] = scenario
    return [_order(prompt, troubled.get(number), random) for number, prompt in enumerate(chosen)]


def _order(prompt: Request, scenario: Scenario | None, random: Random) -> Order:
    request = {name: value for name, value in prompt.items() if name not in ("id", "task", "lang")}
    request["model"] = "auto" if "tools" in prompt else random.choice(MODELS)
    request["organization"] = random.choice(tuple(PLANS))
    request["metadata"] = {"prompt": prompt["id"], "task": prompt["task"], "language": prompt["lang"]}
    sandbox = {"delay_seconds": round(random.uniform(0.02, 0.4), 3)}
    if scenario is not None:
        request |= scenario.fields
        request["organization"] = scenario.organization or request["organization"]
        request["metadata"]["scenario"] = scenario.name
        sandbox |= scenario.sandbox
        if scenario.oversized:
            _enlarge(request)
        if scenario.private:
            _repeat(request, 1, PRIVATE)
    request["provider_options"] = {"sandbox": sandbox}
    return Order(request, scenario)


def _enlarge(request: Request) -> None:
    _repeat(request, OVERSIZED, "")


def _repeat(request: Request, least: int, ending: str) -> None:
    """The prompt, again and again until it has so many characters, with an ending each time."""
    text = (request.pop("prompt", None) or request.pop("messages")[-1]["content"]) + ending + "\n"
    request["prompt"] = text * (least // len(text) + 1)
