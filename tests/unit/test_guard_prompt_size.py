from dataclasses import replace

import pytest

from pipelines.guard.prompt_size import NEAR, PromptSizeGuard
from pipelines.tokens import TokenCounter
from synthralos.domain.account_plans import AccountPlan
from synthralos.domain.deployments import Catalog
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.jobs import Job, Request
from synthralos.domain.limits import DEFAULT_LIMITS, PlanLimits
from tests.fakes.stage_jobs import a_deployment, a_job
from tests.fakes.stages import a_config

CATALOG = Catalog(
    [
        a_deployment("openai/gpt-small@us", window=1_000),
        a_deployment("openai/gpt-small@eu", window=2_000),
        a_deployment("openai/gpt-large@us", window=1_000_000),
    ]
)
LIMITS = {"free": PlanLimits(400, 100), "pro": PlanLimits(1_000_000, 200_000)}
CONFIG = a_config(CATALOG, limits=LIMITS)


class CountingCounter(TokenCounter):
    """Keeps a tally of exact counts, so that a test can see that none was made."""

    def __init__(self) -> None:
        super().__init__()
        self.counted = 0

    def count(self, texts: list[str], encoding: str = "o200k_base") -> int:  # type: ignore[override]
        self.counted += 1
        return super().count(texts, encoding)


def inspect(job: Job) -> Finding | None:
    return PromptSizeGuard(CATALOG, TokenCounter(), CONFIG.limits_for).inspect([job])[0]


def found(job: Job) -> Finding:
    finding = inspect(job)
    assert finding is not None
    return finding


def words(tokens: int) -> str:
    """A text of exactly so many tokens, with the chat format's six included."""
    return " hello" * (tokens - 6)


def test_a_short_prompt_is_nothing_to_speak_of() -> None:
    assert inspect(a_job("Hello")) is None


def test_an_empty_prompt_is_nothing_to_speak_of() -> None:
    assert inspect(a_job("", plan="free")) is None


def test_too_many_characters_are_denied_with_what_was_measured_and_allowed() -> None:
    finding = found(a_job("x" * 401, plan="free"))
    assert finding.decision is Decision.DENY
    assert finding.field == "messages"
    assert (finding.signals["characters"], finding.signals["character_limit"]) == (401, 400)
    assert all(fact in finding.reason for fact in ("messages", "401", "400", "free"))


def test_too_many_tokens_for_the_plan_are_denied() -> None:
    finding = found(a_job("1 " * 60, plan="free"))
    assert finding.decision is Decision.DENY
    assert finding.field == "messages"
    assert finding.signals["token_limit"] == 100
    assert finding.signals["tokens"] > 100


@pytest.mark.parametrize(("tokens", "decision"), [(2_000, Decision.FLAG), (2_001, Decision.DENY)])
def test_the_limit_of_a_model_is_its_largest_window(tokens: int, decision: Decision) -> None:
    finding = found(a_job(words(tokens), model="openai/gpt-small"))
    assert finding.decision is decision
    assert (finding.signals["tokens"], finding.signals["token_limit"]) == (tokens, 2_000)


def test_the_limit_of_a_deployment_is_its_own_window() -> None:
    assert found(a_job(words(1_001), model="openai/gpt-small@us")).signals["token_limit"] == 1_000


def test_requested_output_leaves_less_of_the_window() -> None:
    job = a_job(words(1_501), model="gpt-small", body={"max_output_tokens": 500})
    finding = found(job)
    assert finding.decision is Decision.DENY
    assert finding.signals["token_limit"] == 1_500
    assert "max_output_tokens" in finding.reason


def test_output_that_fills_the_window_is_denied_by_its_own_field() -> None:
    finding = found(a_job("Hello", model="gpt-small", body={"max_output_tokens": 2_000}))
    assert finding.decision is Decision.DENY
    assert finding.field == "max_output_tokens"


def test_auto_means_the_largest_window_of_all() -> None:
    assert inspect(a_job(words(100_000), model="auto")) is None


def test_a_model_that_nobody_knows_is_left_to_the_plans_limits() -> None:
    assert inspect(a_job(words(3_000), model="nobody/knows")) is None


@pytest.mark.parametrize(("tokens", "flagged"), [(1_799, False), (1_800, True)])
def test_from_ninety_percent_of_the_limit_on_a_prompt_is_flagged(tokens: int, flagged: bool) -> None:
    finding = inspect(a_job(words(tokens), model="gpt-small"))
    assert (finding is not None and finding.decision is Decision.FLAG) is flagged


def test_characters_near_the_limit_are_flagged_too() -> None:
    finding = found(a_job("hello " * 60 + "h" * 5, plan="free"))
    assert finding.decision is Decision.FLAG
    assert finding.signals["characters"] >= NEAR * 400


def test_an_unknown_plan_has_the_limits_of_the_smallest() -> None:
    assert found(a_job("x" * 401, plan="platinum")).decision is Decision.DENY


def test_larger_plans_allow_larger_prompts() -> None:
    allowed = [DEFAULT_LIMITS[plan] for plan in AccountPlan]
    assert allowed == sorted(allowed, key=lambda limits: (limits.prompt_characters, limits.prompt_tokens))


def test_tools_count_as_part_of_the_prompt() -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": words(2_100)}}]
    assert found(a_job("Hi", model="gpt-small", body={"tools": tools})).decision is Decision.DENY


def test_tokens_are_counted_only_where_bytes_cannot_decide() -> None:
    counter = CountingCounter()
    guard = PromptSizeGuard(CATALOG, counter, CONFIG.limits_for)
    guard.inspect([a_job("x" * 1_000, model="gpt-small"), a_job("y" * 100_000)])
    assert counter.counted == 0
    guard.inspect([a_job("x" * 1_900, model="gpt-small")])
    assert counter.counted == 1


def test_an_empty_catalog_leaves_the_plans_limits() -> None:
    guard = PromptSizeGuard(Catalog([]), TokenCounter(), CONFIG.limits_for)
    assert guard.inspect([a_job("Hello")]) == [None]


def test_images_count_and_the_finding_says_how_much() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body = {"messages": [{"role": "user", "content": [part, part]}]}
    finding = found(replace(a_job(), request=Request("openai/gpt-small", body)))
    assert finding.decision is Decision.DENY
    assert finding.signals["image_tokens"] == finding.signals["tokens"] - 3 == 2 * 3_000
    assert "smaller images" in finding.reason
