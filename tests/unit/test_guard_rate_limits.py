"""The rate-limit guard: who is counted by what, who waits, who is told to go, and what happens without Redis."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipelines.guard.rate_limits import RateLimitGuard
from pipelines.limits.limiter import Limiter
from pipelines.limits.memory import MemoryMeter
from pipelines.limits.outputs import UNKNOWN, Outputs
from pipelines.limits.protocol import Answer, Ask, MeterAwayError, Settled
from synthralos.config.config import Config
from synthralos.domain.attempts import AttemptEnd, Billed, Outcome
from synthralos.domain.deployments import Catalog
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.flags import Flag
from synthralos.domain.jobs import Constraints, Job, Tenant
from synthralos.domain.limits import DEFAULT_LIMITS, Per, PlanLimits, Rate, Unit, Window
from synthralos.domain.money import Usage
from tests.fakes.stage_jobs import a_deployment, a_job
from tests.fakes.stages import a_config, a_limiter

CATALOG = Catalog([a_deployment()])
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Away:
    """A meter that cannot be asked."""

    def admit(self, asks: Sequence[Ask]) -> list[Answer]:
        raise MeterAwayError("ConnectionError: refused")

    def settle(self, settled: Sequence[Settled]) -> None:
        """See `Meter.settle`."""

    def close(self) -> None:
        """See `Meter.close`."""


def rate(limit: int, unit: Unit = Unit.REQUESTS, per: Per = Per.ORGANIZATION, window: Window = Window.MINUTE) -> Rate:
    return Rate(per, unit, window, limit)


def limits(*rates: Rate, **more: Any) -> dict[str, Any]:
    return {"limits": {**DEFAULT_LIMITS, "pro": PlanLimits(1_000_000, 100_000, rates=rates, **more)}}


class Scene:
    """A guard over a meter in memory, whose clock the test moves on."""

    def __init__(self, *rates: Rate, **more: Any) -> None:
        self.clock = Clock()
        self.config = a_config(CATALOG, **limits(*rates, **more))
        self.limiter = a_limiter(MemoryMeter(self.clock))
        self.guard = RateLimitGuard(self.config, self.limiter, lambda: NOON)

    def ask(self, *jobs: Job) -> list[Decision | None]:
        return [None if found is None else found.decision for found in self.guard.inspect(jobs)]

    def used(self, job: Job, tokens: int | None, billed: Billed = Billed.YES) -> None:
        usage = None if tokens is None else Usage(0, tokens)
        self.limiter.used(self.config, job, AttemptEnd(1, Outcome.SUCCEEDED, billed, usage, Decimal(0)))


def of(organization: str = "acme", workspace: str = "default", user: str | None = None, **more: Any) -> Job:
    job = a_job(**more)
    job.tenant = Tenant(organization, workspace, user, "pro")
    return job


def test_without_rates_nothing_is_asked() -> None:
    guard = RateLimitGuard(a_config(CATALOG), a_limiter(Away()))
    assert guard.inspect([a_job(), a_job()]) == [None, None]


def test_where_the_flag_is_off_nothing_is_asked() -> None:
    config = a_config(CATALOG, Flag.ENABLE_RATE_LIMITING, **limits(rate(1)))
    limiter = a_limiter()
    assert RateLimitGuard(config, limiter).inspect([of(), of(), of()]) == [None] * 3


def test_who_is_over_the_limit_waits_and_is_told_for_what_and_until_when() -> None:
    scene = Scene(rate(2))
    first, second, third = scene.guard.inspect([of(), of(), of()])
    assert first is second is None
    assert isinstance(third, Finding)
    assert (third.decision, third.defer_seconds) == (Decision.DEFER, 30.0)
    assert "2 requests a minute per organization" in third.reason
    assert "2026-01-01T12:00:30" in third.reason
    assert third.signals["limit"] == 2


def test_who_waits_goes_on_when_his_time_has_come() -> None:
    scene = Scene(rate(1))
    waits = of()
    assert scene.ask(of(), waits) == [None, Decision.DEFER]
    scene.clock.now += 60
    assert scene.ask(waits) == [None]


def test_who_does_not_want_to_wait_is_denied_with_the_time() -> None:
    scene = Scene(rate(1))
    scene.ask(of())
    [found] = scene.guard.inspect([of(constraints=Constraints(on_limit="reject"))])
    assert found is not None
    assert found.decision is Decision.DENY
    assert "2026-01-01T12:01:00" in found.reason


@pytest.mark.parametrize(
    ("plan_allows", "job_allows", "decision"),
    [
        (59.0, None, Decision.DENY),
        (61.0, None, Decision.DEFER),
        (86_400.0, 59.0, Decision.DENY),
        (59.0, 61.0, Decision.DENY),
    ],
)
def test_nobody_waits_longer_than_plan_and_job_allow(
    plan_allows: float, job_allows: float | None, decision: Decision
) -> None:
    scene = Scene(rate(1), max_wait_seconds=plan_allows)
    scene.ask(of())
    assert scene.ask(of(constraints=Constraints(max_wait=job_allows))) == [decision]


@pytest.mark.parametrize(
    ("per", "others", "same"),
    [
        (Per.ORGANIZATION, of("globex"), of(workspace="other", user="u")),
        (Per.WORKSPACE, of(workspace="other"), of(user="u")),
    ],
)
def test_jobs_are_counted_by_whom_the_rate_names(per: Per, others: Job, same: Job) -> None:
    scene = Scene(rate(1, per=per))
    assert scene.ask(of(), others, same) == [None, None, Decision.DEFER]


def test_a_user_is_the_same_in_all_workspaces_and_jobs_of_nobody_are_not_counted() -> None:
    scene = Scene(rate(1, per=Per.USER))
    assert scene.ask(of(user="u"), of(user="v"), of(workspace="w", user="u")) == [None, None, Decision.DEFER]
    assert scene.ask(of(), of(), of("globex", user="u")) == [None] * 3


def test_names_do_not_run_into_each_other() -> None:
    scene = Scene(rate(1, per=Per.WORKSPACE))
    assert scene.ask(of("a:b", "c"), of("a", "b:c")) == [None, None]


def test_several_rates_hold_at_once() -> None:
    scene = Scene(rate(2, window=Window.SECOND), rate(3, window=Window.DAY))
    assert scene.ask(of(), of()) == [None, None]
    scene.clock.now += 10
    found = scene.guard.inspect([of(), of()])
    assert found[0] is None
    assert found[1] is not None
    assert "3 requests a day" in found[1].reason


def test_prompt_and_answer_are_reserved_and_set_right() -> None:
    scene = Scene(rate(1_000, Unit.TOKENS))
    first, second = (of(body={"messages": [], "max_output_tokens": 900}) for _ in range(2))
    assert scene.ask(first, second) == [None, Decision.DEFER]
    scene.used(first, 10)
    assert scene.ask(second) == [None]


@pytest.mark.parametrize(("billed", "free"), [(Billed.NO, True), (Billed.MAYBE, False)])
def test_a_failed_call_uses_what_it_may_have_been_billed_for(billed: Billed, free: bool) -> None:
    scene = Scene(rate(1_000, Unit.TOKENS))
    job = of(body={"messages": [], "max_output_tokens": 900})
    scene.ask(job)
    scene.used(job, None, billed)
    expected = None if free else Decision.DEFER
    assert scene.ask(of(body={"messages": [], "max_output_tokens": 900})) == [expected]


def test_a_job_that_ends_without_a_call_gives_its_tokens_back() -> None:
    scene = Scene(rate(1_000, Unit.TOKENS))
    job = of(body={"messages": [], "max_output_tokens": 900})
    scene.ask(job)
    scene.limiter.unused(scene.config, job)
    assert scene.ask(of(body={"messages": [], "max_output_tokens": 900})) == [None]


def test_a_prompt_that_no_waiting_helps_is_denied() -> None:
    scene = Scene(rate(100, Unit.TOKENS))
    [found] = scene.guard.inspect([of(text="word " * 400)])
    assert found is not None
    assert (found.decision, found.field) == (Decision.DENY, "messages")
    assert "100 tokens a minute" in found.reason


def test_an_organization_may_have_limits_of_its_own() -> None:
    own = {"acme": {"rates": [rate(2).to_json()]}}
    config = a_config(CATALOG, **limits(rate(1)), own_limits=own)
    guard = RateLimitGuard(config, a_limiter())
    findings = guard.inspect([of(), of(), of(), of("globex"), of("globex")])
    assert [found is None for found in findings] == [True, True, False, True, False]
    assert config.limits_for("acme", "pro").prompt_tokens == 100_000


@pytest.mark.parametrize(("fails_open", "decision"), [(True, Decision.FLAG), (False, Decision.DEFER)])
def test_while_nothing_can_be_counted_jobs_go_on_or_wait_as_it_is_set(fails_open: bool, decision: Decision) -> None:
    config = a_config(CATALOG, **limits(rate(1)))
    guard = RateLimitGuard(config, a_limiter(Away(), fails_open=fails_open))
    found, unlimited = guard.inspect([of(), a_job(plan="free")])
    assert unlimited is None
    assert found is not None
    assert found.decision is decision
    assert bool(found.defer_seconds) is (decision is Decision.DEFER)


def charged(limiter: Limiter, config: Config, **body: Any) -> tuple[float, float]:
    _, _, [charge] = limiter.charges(of(body={"messages": [], **body}), config.limits_for("acme", "pro"))
    return charge.weight, charge.expected


def test_how_long_an_answer_may_be_is_learned() -> None:
    scene = Scene(rate(1_000_000, Unit.TOKENS))
    overhead = 3  # tokens of an empty prompt
    assert charged(scene.limiter, scene.config) == (UNKNOWN + overhead, overhead)
    for size in range(1, 101):
        scene.used(of(), 10 * size)
    high, expected = charged(scene.limiter, scene.config)
    assert high == pytest.approx(960 + overhead, abs=20)
    assert expected == pytest.approx(0.8 * 505 + overhead, abs=20)
    assert charged(scene.limiter, scene.config, max_output_tokens=50) == (50 + overhead, 50 + overhead)


def test_images_are_reserved_too() -> None:
    scene = Scene(rate(1_000_000, Unit.TOKENS))
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    messages = [{"role": "user", "content": [part, part]}]
    job = of(body={"messages": messages}, model="anthropic/claude-sonnet-4-5")
    prompt, _, [charge] = scene.limiter.charges(job, scene.config.limits_for("acme", "pro"))
    assert (prompt, charge.weight) == (3 + 2 * 1_600, UNKNOWN + 3 + 2 * 1_600)


def test_only_so_many_tenants_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.limits.outputs._MOST_KEYS", 10)
    outputs = Outputs()
    for n in range(50):
        outputs.learn(f"o{n}", "auto", 7)
    assert outputs.guess("o0", "auto", None)[0] == UNKNOWN
    assert outputs.guess("o49", "auto", None)[0] == 7
