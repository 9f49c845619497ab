"""Prompt-cache affinity: what a common beginning is, who is first for it, and what is remembered of whom."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import orjson
import pytest

from pipelines.route.affinity import KEPT_SECONDS, Prefix, WarmPrefixes, prefix_of
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import STRATEGIES
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.findings import PASSED
from synthralos.domain.jobs import Constraints, Job, Request
from synthralos.domain.money import Rates, ServiceTier, Tariff, Usage
from synthralos.domain.overlays import Overlay
from synthralos.domain.plans import RoutingPlan, published
from tests.fakes.cached_prompts import ALIKE, DEAR, PLAIN, SYSTEM, body, cached, job, names, only
from tests.fakes.stage_jobs import a_job
from tests.fakes.stages import stages_of


def route(
    job: Job, deployments: Sequence[Deployment] = ALIKE, warm: Callable[[str, Prefix], Sequence[str]] | None = None
) -> RoutingPlan:
    stage = RouteStage(Catalog(list(deployments)), STRATEGIES, lambda _: None, warm=warm or (lambda *_: ()))
    [plan] = stage.plan([job])
    assert isinstance(plan, RoutingPlan), plan
    return plan


def key(**content: Any) -> bytes | None:
    found = prefix_of(Request("auto", content))
    return None if found is None else found.key


def test_a_beginning_is_whole_messages_and_tools_of_at_least_so_much() -> None:
    assert key(**body("One")) is not None
    assert key(**body("One")) == key(**body("Two", "Three"))
    assert key(**body("One", tools=[{"type": "function"}])) != key(**body("One"))
    assert key(messages=[{"role": "user", "content": SYSTEM}]) != key(messages=[{"role": "system", "content": SYSTEM}])
    assert key(messages=[{"role": "user", "content": "x" * 4_000}]) is None
    halves = [{"role": "user", "content": "x" * 3_000}, {"role": "user", "content": "y" * 3_000}]
    assert key(messages=halves) not in (None, key(messages=[halves[1], halves[0]]))
    assert key(messages=halves[:1]) is None
    assert key(messages=[], tools=[{"description": "x" * 5_000}]) is not None
    assert key(kind="embedding", input=SYSTEM) is None


def test_texts_in_parts_count_and_an_image_ends_what_is_alike() -> None:
    text, image = {"type": "text", "text": SYSTEM}, {"type": "image_url", "image_url": {"url": "data:,"}}
    assert key(messages=[{"role": "user", "content": [text]}]) is not None
    assert key(messages=[{"role": "user", "content": [text, image]}]) is None
    assert key(messages=[{"role": "user", "content": "\ud800" * 2_000}]) is not None
    assert key(messages=[{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]) is None


def test_of_a_very_long_message_the_beginning_decides_and_tokens_are_coarse() -> None:
    long = [{"role": "user", "content": "x" * 100_000 + end} for end in "ab"]
    assert key(messages=long[:1]) == key(messages=long[1:])
    found = prefix_of(Request("auto", {"messages": long}))
    assert found is not None
    assert found.tokens == 4_096
    assert {getattr(prefix_of(Request("auto", body("x"))), "tokens", None)} == {1_024}


def test_jobs_that_begin_alike_go_to_one_of_those_that_cost_the_same_in_every_worker() -> None:
    first = {route(job(text)).steps[0].deployment for text in ("Hello", "Another question", "A third")}
    assert len(first) == 1
    assert names(route(job(), ALIKE[::-1])) == names(route(job()))


def test_beginnings_and_organizations_spread_and_move_only_where_they_have_to() -> None:
    before = {name: route(job(organization=name)).steps[0].deployment for name in map(str, range(60))}
    assert set(before.values()) == {deployment.id for deployment in ALIKE}
    gone = ALIKE[2].id
    for name, where in before.items():
        after = route(job(organization=name), [each for each in ALIKE if each.id != gone])
        assert where == gone or after.steps[0].deployment == where


def test_it_never_costs_more_and_nothing_is_lost() -> None:
    with_dear = [*ALIKE, PLAIN, DEAR]
    plan = route(job(), with_dear)
    assert plan.steps[0].deployment in {each.id for each in ALIKE}
    assert sorted(names(plan)) == sorted(each.id for each in with_dear)
    costs = [step.estimated_cost for step in plan.steps]
    assert costs == sorted(cost for cost in costs if cost is not None)
    assert plan.steps[0].reason == "the cheapest that fits"


@pytest.mark.parametrize("seed", range(100))
def test_whatever_was_read_where_the_first_costs_no_more_and_the_others_keep_their_order(seed: int) -> None:
    rng = Random(seed)
    found = [
        cached(f"a/m{n}@us", rng.choice(["3", "3", "4", "8"]), rng.choice(["0.3", "0.5", "9", None]))
        for n in range(rng.randint(1, 9))
    ]
    warm = only(*rng.sample([each.id for each in found], rng.randint(0, min(2, len(found)))))
    uncached = [replace(each, price=each.price and replace(each.price, cached=None)) for each in found]
    before = [(step.deployment, step.estimated_cost) for step in route(job(), uncached, warm).steps]
    plan = route(job(), found, warm)
    first = plan.steps[0]
    assert first.estimated_cost is not None
    assert before[0][1] is not None
    assert first.estimated_cost <= before[0][1]
    assert names(plan)[1:] == [name for name, _ in before if name != first.deployment]
    again = route(job(), rng.sample(found, len(found)), warm)
    assert names(again) == names(plan)


@pytest.mark.parametrize("deployments", [[PLAIN, DEAR], [PLAIN, cached("a/b@us", read=None)], [cached("a/b@us"), DEAR]])
def test_without_a_choice_or_a_cached_price_all_is_as_before(deployments: list[Deployment]) -> None:
    plan = route(job(), deployments)
    assert [step.prompt_cache for step in plan.steps] == [None, None]
    assert "prompt_cache" not in str(plan.body())


def test_a_short_prompt_is_routed_as_before() -> None:
    plan = route(a_job(), ALIKE, only(ALIKE[3].id))
    assert names(plan) == [each.id for each in ALIKE]
    assert plan.steps[0].prompt_cache is None


def test_what_was_read_from_the_cache_counts_at_its_price() -> None:
    plan = route(job(), [*ALIKE, DEAR], only(DEAR.id))
    assert plan.steps[0].deployment == DEAR.id
    tokens = 1_024
    full = route(job(), [DEAR]).steps[0].estimated_cost
    assert full is not None
    assert plan.steps[0].estimated_cost == full - tokens * (Decimal(4) - Decimal("0.3")) / 1_000_000
    much_dearer = cached("a/dear@us", "40")
    assert route(job(), [*ALIKE, much_dearer], only(much_dearer.id)).steps[0].deployment != much_dearer.id
    assert route(job(), [*ALIKE, PLAIN], only(PLAIN.id)).steps[0].deployment != PLAIN.id


def test_the_cached_price_is_that_of_the_service_tier() -> None:
    flex = Tariff(Rates(Decimal("1.5"), Decimal("7.5"), Decimal("0.15")))
    assert ALIKE[0].price is not None
    tiered = replace(ALIKE[0], price=replace(ALIKE[0].price, service_tiers={ServiceTier.FLEX: flex}))
    wanted = Constraints(service_tier="flex")
    plain, plan = (route(job(constraints=wanted), [tiered, DEAR], warm) for warm in (only(), only(tiered.id)))
    before, after = plain.steps[0].estimated_cost, plan.steps[0].estimated_cost
    assert before is not None
    assert after == before - 1_024 * Decimal("1.35") / 1_000_000
    assert names(plan) == [tiered.id, tiered.id, DEAR.id]
    assert [step.service_tier for step in plan.steps[:2]] == [ServiceTier.FLEX, ServiceTier.STANDARD]
    assert [step.prompt_cache is None for step in plan.steps] == [False, True, True]


def test_what_excludes_and_what_policies_prefer_comes_first() -> None:
    closed = Constraints(exclude=(DEAR.id,), fallback=False)
    plan = route(job(constraints=closed), [*ALIKE, DEAR], only(DEAR.id))
    assert DEAR.id not in names(plan)
    assert len(plan.steps) == 1
    european = replace(DEAR, id="a/dear@eu", region="eu", residency="eu")
    bound = route(job(constraints=Constraints(classification="eu")), [*ALIKE, european], only(ALIKE[0].id))
    assert names(bound) == [european.id]
    preferring = replace(job(), verdict=PASSED.demanding(Overlay(prefer=("a/m4",))))
    assert names(route(preferring, [*ALIKE, DEAR], only(DEAR.id)))[0] == "a/m4@us"
    pinned = Constraints(pin=ALIKE[1].id)
    assert names(route(job(constraints=pinned), ALIKE, only(ALIKE[3].id)))[0] == ALIKE[1].id


def test_jobs_that_begin_alike_share_one_plan() -> None:
    stage = RouteStage(Catalog(ALIKE), STRATEGIES, lambda _: None)
    first, second = stage.plan([job("One"), job("Two")])
    assert first is second


def test_the_plan_tells_it_as_data_and_as_a_sentence_when_it_is_read() -> None:
    plan = route(job(), [*ALIKE, DEAR], only(DEAR.id))
    stored = orjson.loads(orjson.dumps(plan.body()))
    assert stored["steps"][0]["prompt_cache"] == {"prefix_tokens": 1_024, "read": True}
    assert stored["steps"][0]["reason"] == "the cheapest that fits"
    assert [list(step) for step in stored["steps"][1:]] == [["deployment", "reason", "estimated_cost_usd"]] * 5
    again = RoutingPlan.from_json(stored)
    assert (again, again.key) == (plan, plan.key)
    assert "prompt cache" in published(stored)["steps"][0]["reason"]
    drawn = published(route(job()).body())["steps"]
    assert "share a prompt cache" in drawn[0]["reason"]
    assert "prompt" not in drawn[1]["reason"]


def test_what_a_worker_sees_of_caches_reaches_its_plans() -> None:
    stages = stages_of(Catalog([*ALIKE, DEAR]))
    asked = job()
    stages.prefixes.answered("acme", asked.request, DEAR.id, Usage(1_500, 10, cached=1_024))
    here, elsewhere = stages.route.plan([job("Another"), job(organization="other")])
    assert isinstance(here, RoutingPlan)
    assert isinstance(elsewhere, RoutingPlan)
    assert here.steps[0].deployment == DEAR.id
    assert elsewhere.steps[0].deployment != DEAR.id


class Remembering:
    def __init__(self) -> None:
        self.now = 0.0
        self.warm = WarmPrefixes(lambda: self.now)

    def answered(self, job: Job, deployment: str, read: int = 1_024) -> None:
        self.warm.answered(job.tenant.organization, job.request, deployment, Usage(1_500, 10, cached=read))

    def asked(self, job: Job) -> Sequence[str]:
        prefix = prefix_of(job.request)
        assert prefix is not None
        return self.warm.warm(job.tenant.organization, prefix)


def test_only_what_the_provider_read_or_wrote_is_remembered_for_minutes() -> None:
    memory = Remembering()
    memory.answered(job(), "a/m0@us", read=0)
    assert not memory.asked(job())
    memory.answered(job(), "a/m1@us")
    assert memory.asked(job("Another")) == ["a/m1@us"]
    memory.warm.answered("acme", job().request, "a/m2@us", Usage(1_500, 10, cache_write=1_400))
    memory.now += KEPT_SECONDS
    assert memory.asked(job()) == ["a/m2@us", "a/m1@us"]
    memory.now += 1
    assert not memory.asked(job())


def test_no_organization_hears_of_anothers_prompts() -> None:
    memory = Remembering()
    memory.answered(job(), "a/m1@us")
    assert not memory.asked(job(organization="other"))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.route.affinity._MOST_PREFIXES", 3)
    monkeypatch.setattr("pipelines.route.affinity._MOST_ORGANIZATIONS", 2)
    memory = Remembering()
    bodies = [{"messages": [{"role": "user", "content": f"{n}" * 5_000}]} for n in range(5)]
    jobs = [replace(job(), request=Request("auto", each)) for each in bodies]
    for each in jobs:
        memory.answered(each, "a/m1@us")
    assert [bool(memory.asked(each)) for each in jobs] == [False, False, True, True, True]
    for name in ("second", "third"):
        memory.answered(job(organization=name), "a/m1@us")
    assert not memory.asked(jobs[4])
    assert memory.asked(job(organization="second"))
