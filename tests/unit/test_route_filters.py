from dataclasses import replace
from decimal import Decimal

import pytest

from pipelines.route.filters import (
    PLAN_TIERS,
    SIZED_RULES,
    STANDING_RULES,
    Demand,
    demand_of,
)
from pipelines.route.needs import needs_of
from synthralos.domain.deployments import Capability, Deployment, Tier
from synthralos.domain.failures import FailureClass
from synthralos.domain.jobs import Constraints
from tests.fakes.stage_jobs import a_deployment, a_job

EU = a_deployment("openai/gpt@eu")
US = a_deployment("openai/gpt@us")
ANY = Demand("auto", "pro")


def reason(demand: Demand, deployment: Deployment) -> str | None:
    """The first reason of the whole table."""
    causes = (rule.check(demand, deployment) for rule in (*STANDING_RULES, *SIZED_RULES))
    return next((found.text for found in causes if found is not None), None)


def test_a_job_without_demands_may_use_anything() -> None:
    assert reason(ANY, US) is None


def test_a_region_excludes_all_others() -> None:
    demand = ANY._replace(region="eu")
    assert reason(demand, EU) is None
    assert "region" in (reason(demand, US) or "")


@pytest.mark.parametrize("classification", ["eu", "EU", " eu "])
def test_eu_data_only_goes_where_residency_is_eu(classification: str) -> None:
    demand = ANY._replace(classification=classification)
    assert reason(demand, EU) is None
    assert reason(demand, US) is not None
    assert reason(demand, a_deployment("openai/gpt@eu-west")) is not None


@pytest.mark.parametrize(
    ("region", "residency", "allowed"),
    [
        ("westeurope", "eu", True),
        ("us", "eu", True),
        ("eu", "us", False),
        ("eu", "global", False),
        ("europe-west4", None, False),
        ("global", None, False),
    ],
)
def test_residency_decides_and_not_the_name_of_the_region(region: str, residency: str | None, allowed: bool) -> None:
    deployment = a_deployment(f"openai/gpt@{region}", residency=residency)
    assert (reason(ANY._replace(classification="eu"), deployment) is None) is allowed


def test_eu_data_pinned_elsewhere_or_sent_elsewhere_stays() -> None:
    for demand in (ANY._replace(pin=US.id), ANY._replace(region="us")):
        assert reason(demand._replace(classification="eu"), US) is not None


def test_data_that_is_classified_as_none_binds_to_no_region() -> None:
    assert reason(ANY._replace(classification="none"), US) is None


@pytest.mark.parametrize("classification", ["internal", "e\u0443", "eu-west", "secret", ""])
def test_data_of_an_unknown_class_goes_nowhere(classification: str) -> None:
    for deployment in (EU, US):
        assert reason(ANY._replace(classification=classification), deployment) is not None


def test_a_pin_excludes_all_others() -> None:
    demand = ANY._replace(pin=US.id)
    assert reason(demand, US) is None
    assert US.id in (reason(demand, EU) or "")


def test_what_the_sender_excludes_is_excluded() -> None:
    demand = ANY._replace(exclude=(US.id,))
    assert reason(demand, EU) is None
    assert "exclude" in (reason(demand, US) or "")


@pytest.mark.parametrize(
    ("plan", "tier", "allowed"),
    [
        ("free", Tier.ECONOMY, True),
        ("free", Tier.STANDARD, False),
        ("free", Tier.PREMIUM, False),
        ("pro", Tier.PREMIUM, True),
        ("enterprise", Tier.PREMIUM, True),
        ("platinum", Tier.ECONOMY, True),
        ("platinum", Tier.PREMIUM, False),
    ],
)
def test_a_plan_is_for_its_tiers(plan: str, tier: Tier, allowed: bool) -> None:
    assert (reason(Demand("auto", plan), a_deployment(tier=tier)) is None) is allowed


def test_naming_a_premium_model_does_not_open_it_to_the_free_plan() -> None:
    premium = a_deployment(tier=Tier.PREMIUM)
    found = reason(Demand(premium.model_name, "free", pin=premium.id), premium) or ""
    assert "free" in found
    assert "premium" in found


def test_the_sandbox_is_for_every_plan() -> None:
    assert (
        reason(Demand("auto", "free"), a_deployment("sandbox/large@us", tier=Tier.PREMIUM, adapter="sandbox")) is None
    )


def test_every_plan_has_at_least_one_tier() -> None:
    assert all(PLAN_TIERS.values())


@pytest.mark.parametrize(
    ("body", "need"),
    [
        ({"tools": [{"type": "function"}]}, Capability.TOOLS),
        ({"response_format": {"type": "json_object"}}, Capability.JSON_MODE),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, Capability.JSON_SCHEMA),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, Capability.VISION),
    ],
)
def test_a_missing_capability_excludes(body: dict[str, object], need: Capability) -> None:
    demand = demand_of(a_job(body=body))
    assert demand.needs == {need}
    assert need in (reason(demand, a_deployment()) or "")
    assert reason(demand, a_deployment(capabilities=[need])) is None


def test_what_streams_stays_away_from_what_cannot_and_only_from_that() -> None:
    demand = demand_of(a_job(constraints=Constraints(stream=True)))
    assert demand.needs == {Capability.STREAMING}
    assert reason(demand, US) is None
    assert "streaming" in (reason(demand, replace(US, lacks=frozenset({Capability.STREAMING}))) or "")


def test_an_entry_from_before_schemas_had_a_name_takes_them_by_its_json_mode() -> None:
    old = a_deployment(capabilities=[Capability.JSON_MODE])
    demand = demand_of(a_job(body={"response_format": {"type": "json_schema", "json_schema": {}}}))
    assert reason(demand, old) is None
    assert "json_schema" in (reason(demand, replace(old, lacks=frozenset({Capability.JSON_SCHEMA}))) or "")
    assert reason(demand_of(a_job(body={"response_format": {"type": "json_object"}})), old) is None


def test_a_schema_is_not_any_json() -> None:
    constrained = a_deployment(capabilities=[Capability.JSON_SCHEMA])
    assert reason(demand_of(a_job(body={"response_format": {"type": "json_object"}})), constrained) is not None


@pytest.mark.parametrize(
    "body", [{}, {"tools": []}, {"tools": None}, {"response_format": {"type": "text"}}, {"response_format": None}]
)
def test_plain_requests_need_nothing(body: dict[str, object]) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, {"role": "assistant", "content": None}]
    assert needs_of({"messages": messages, **body}, Constraints()) == frozenset()


@pytest.mark.parametrize(("tokens", "output", "fits"), [(900, 100, True), (901, 100, False), (1_000, None, True)])
def test_prompt_and_output_must_fit_the_window(tokens: int, output: int | None, fits: bool) -> None:
    demand = ANY._replace(tokens_in=tokens, max_output=output)
    assert (reason(demand, a_deployment(window=1_000)) is None) is fits


@pytest.mark.parametrize(("output", "fits"), [(100, True), (101, False), (None, True)])
def test_the_wanted_output_must_not_exceed_what_it_gives(output: int | None, fits: bool) -> None:
    assert (reason(ANY._replace(max_output=output), a_deployment(max_output=100)) is None) is fits


@pytest.mark.parametrize(
    ("most", "output", "fits"),
    [
        ("0.0012", 100, True), ("0.0011999", 100, False), ("0.001512", None, True), ("0.0015119", None, False),
        ("0.0009", None, False),
    ],
)  # fmt: skip
def test_money_that_does_not_allow_the_answer_excludes(most: str, output: int | None, fits: bool) -> None:
    demand = ANY._replace(tokens_billed=1_000, max_output=output, max_cost=Decimal(most))
    assert (reason(demand, a_deployment(price=("1", "2"))) is None) is fits


def test_an_unknown_price_excludes_only_under_a_max_cost() -> None:
    unpriced = a_deployment(price=None)
    assert reason(ANY, unpriced) is None
    assert reason(ANY._replace(max_cost=Decimal(100)), unpriced) is not None


def test_a_demand_says_everything_that_the_rules_look_at() -> None:
    constraints = Constraints("eu", "eu", max_cost=Decimal(1), pin="p", exclude=("x",))
    job = a_job(model="gpt", plan="free", constraints=constraints, body={"max_output_tokens": 7})
    assert demand_of(job) == Demand("gpt", "free", "eu", "eu", "p", ("x",), frozenset(), 7, Decimal(1))


def test_only_the_window_and_the_cost_have_failures_of_their_own() -> None:
    assert {rule.failure_class for rule in STANDING_RULES} == {FailureClass.INVALID_REQUEST}
    hard = [rule.failure_class for rule in SIZED_RULES if not rule.soft]
    assert hard == [FailureClass.CONTEXT_LENGTH, FailureClass.BUDGET]


def test_zero_retention_is_demanded_and_must_be_declared() -> None:
    demand = ANY._replace(zero_retention=True)
    assert "zero_retention" in (reason(demand, US) or "")
    assert reason(demand, replace(US, zero_retention=True)) is None


def test_what_is_not_enabled_gets_nothing_even_where_it_is_pinned() -> None:
    assert "enabled" in (reason(ANY._replace(pin=US.id), replace(US, enabled=False)) or "")


CLAUDE = a_deployment("anthropic/claude@us", adapter="anthropic", capabilities=[Capability.JSON_MODE])
SAMPLED = replace(CLAUDE, options={"sampling": True})


@pytest.mark.parametrize(
    ("body", "options", "named"),
    [
        ({"temperature": 0.0}, {}, "temperature"),
        ({"top_p": 0.5}, {}, "top_p"),
        ({}, {"anthropic": {"top_k": 3}}, "top_k"),
    ],
)
def test_a_model_without_sampling_is_left_out_where_sampling_is_asked_for(
    body: dict[str, object], options: dict[str, dict[str, object]], named: str
) -> None:
    job = a_job(body=body)
    job.request = replace(job.request, provider_options=options)
    demand = demand_of(job)
    assert named in (reason(demand, CLAUDE) or "")
    assert reason(demand, SAMPLED) is None
    assert reason(demand, US) is None


def test_options_of_another_provider_leave_no_model_out() -> None:
    job = a_job()
    job.request = replace(job.request, provider_options={"google": {"top_k": 3}})
    assert reason(demand_of(job), CLAUDE) is None


@pytest.mark.parametrize("body", [{"seed": 1}, {"response_format": {"type": "json_object"}}])
def test_what_messages_have_no_form_for_goes_elsewhere(body: dict[str, object]) -> None:
    demand = demand_of(a_job(body=body))
    assert reason(demand, SAMPLED) is not None
    assert reason(demand, replace(US, capabilities=frozenset({Capability.JSON_MODE}))) is None


def test_a_schema_may_go_to_messages() -> None:
    body = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}}
    assert reason(demand_of(a_job(body=body)), CLAUDE) is None
