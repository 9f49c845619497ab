"""The strategy quality_aware: near enough to the best, and cheap; where nothing is known, the best."""

from decimal import Decimal

import pytest

from pipelines.route.protocol import Candidate
from pipelines.route.quality import strategy as quality_strategy
from pipelines.route.quality.strategy import QualityAware
from synthralos.config.quality import built_in_quality
from synthralos.domain.deployments import Tier
from synthralos.domain.quality import DEFAULT, KINDS, QualityTable
from tests.fakes.stage_jobs import a_deployment, a_job

PROBLEM = "Nina bakes 24 rolls a day and sells each for $2. How much does she earn in a week of 7 days?"
UNLIKE_ANY = "zzkq wv xj 8821 ~~ qpl"


def candidate(deployment_id: str, cost: str | None, tier: Tier = Tier.STANDARD) -> Candidate:
    return Candidate(a_deployment(deployment_id, tier=tier), None if cost is None else Decimal(cost))


CHEAP, MIDDLE, DEAR = candidate("a/cheap@us", "0.001"), candidate("b/middle@us", "0.01"), candidate("c/dear@us", "0.1")
ALL = [DEAR, CHEAP, MIDDLE]


def table(give_up: float, default: dict[str, float], **kinds: dict[str, float]) -> QualityTable:
    measured = {
        model: {kind: kinds.get(kind, {}).get(model, q) for kind in (DEFAULT, *KINDS)} for model, q in default.items()
    }
    return QualityTable(built_in_quality().prior, give_up, measured)


def order(aware: QualityAware, text: str, candidates: list[Candidate]) -> list[str]:
    return [step.deployment for step in aware.rank(a_job(text), candidates)]


@pytest.mark.parametrize(("give_up", "first"), [(0, "c/dear@us"), (0.06, "b/middle@us"), (0.5, "a/cheap@us")])
def test_the_cheapest_that_is_near_enough_comes_first(give_up: float, first: str) -> None:
    aware = QualityAware(table(give_up, {"a/cheap": 0.5, "b/middle": 0.85, "c/dear": 0.9}))
    assert order(aware, PROBLEM, ALL)[0] == first


def test_after_those_that_are_near_enough_the_better_ones_come_first() -> None:
    aware = QualityAware(table(0, {"a/cheap": 0.5, "b/middle": 0.85, "c/dear": 0.9}))
    assert order(aware, PROBLEM, ALL) == ["c/dear@us", "b/middle@us", "a/cheap@us"]


def test_what_a_model_can_at_the_kind_of_the_prompt_decides() -> None:
    quality = {"a/cheap": 0.5, "b/middle": 0.5, "c/dear": 0.9}
    aware = QualityAware(table(0.2, quality, word_problems={"a/cheap": 0.9}))
    assert order(aware, PROBLEM, ALL)[0] == "a/cheap@us"
    assert order(aware, "who sang the theme song of the show about the lighthouse", ALL)[0] == "c/dear@us"


@pytest.mark.parametrize("text", [UNLIKE_ANY, "", "   "])
def test_nothing_is_given_up_for_a_prompt_unlike_any(text: str) -> None:
    aware = QualityAware(table(0.5, {"a/cheap": 0.8, "b/middle": 0.85, "c/dear": 0.9}))
    assert order(aware, text, ALL)[0] == "c/dear@us"


def test_one_deployment_may_have_figures_of_its_own() -> None:
    aware = QualityAware(table(0, {"a/cheap": 0.5, "b/middle": 0.85, "a/cheap@us": 0.95}))
    assert order(aware, PROBLEM, [MIDDLE, CHEAP])[0] == "a/cheap@us"


def test_without_measurements_the_tier_decides() -> None:
    by_tier = [candidate("a/one@us", "0.1", Tier.ECONOMY), candidate("b/two@us", "0.1", Tier.PREMIUM)]
    assert order(QualityAware(built_in_quality()), UNLIKE_ANY, by_tier) == ["b/two@us", "a/one@us"]


def test_equally_good_ones_go_by_price_and_an_unknown_price_comes_last() -> None:
    found = [candidate("a/unknown@us", None), candidate("b/dear@us", "0.2"), candidate("c/cheap@us", "0.1")]
    assert order(QualityAware(built_in_quality()), PROBLEM, found) == ["c/cheap@us", "b/dear@us", "a/unknown@us"]


def test_the_reason_has_the_quality_and_the_cost() -> None:
    aware = QualityAware(table(0.06, {"a/cheap": 0.5, "b/middle": 0.85, "c/dear": 0.9}))
    reasons = {step.deployment: step.reason for step in aware.rank(a_job(PROBLEM), ALL)}
    for figure in ("0.85", "0.90", "0.06", "0.01 USD", "word_problems"):
        assert figure in reasons["b/middle@us"]


def test_the_systems_words_are_not_the_task() -> None:
    aware = QualityAware(table(0.2, {"a/cheap": 0.5, "c/dear": 0.9}, word_problems={"a/cheap": 0.9}))
    body = {"messages": [{"role": "system", "content": "zzkq " * 200}, {"role": "user", "content": PROBLEM}]}
    assert aware.rank(a_job(body=body), [CHEAP, DEAR])[0].deployment == "a/cheap@us"


def test_without_weights_the_best_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_strategy, "_model", lambda: None)
    aware = QualityAware(table(0.5, {"a/cheap": 0.8, "b/middle": 0.85, "c/dear": 0.9}))
    assert order(aware, PROBLEM, ALL)[0] == "c/dear@us"
