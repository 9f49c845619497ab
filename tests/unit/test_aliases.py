from pathlib import Path

import pytest

from pipelines.intake.catalog_checks import CatalogChecks
from pipelines.intake.schema import JobIn
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import STRATEGIES
from synthralos.config.catalog import CatalogError, read_catalog
from synthralos.domain.deployments import Catalog, Tier
from synthralos.domain.failures import Failure
from synthralos.domain.plans import RoutingPlan
from tests.fakes.stage_jobs import a_deployment, a_job

HEADER = """
[providers.local]
adapter = "openai"
base_url = "http://localhost:8000/v1/"
"""
ENTRY = """
[[deployment]]
id = "local/{name}"
context_window = 32_000
max_output = 4_000
tier = "{tier}"
"""
FILE = HEADER + "".join(
    ENTRY.format(name=name, tier=tier)
    for name, tier in (("mini@eu", "economy"), ("mini@us", "economy"), ("large@us", "premium"))
)
MINI_EU, MINI_US, LARGE = "local/mini@eu", "local/mini@us", "local/large@us"


def load(tmp_path: Path, aliases: str) -> Catalog:
    path = tmp_path / "catalog.toml"
    path.write_text(f"{FILE}\n[aliases]\n{aliases}\n", encoding="utf-8")
    catalog, errors = read_catalog(path).with_entries({}, lambda _: None)
    assert errors == []
    return catalog


@pytest.mark.parametrize(
    ("aliases", "meant"),
    [
        ('x = "local/mini"', [MINI_EU, MINI_US]),
        ('x = "mini"', [MINI_EU, MINI_US]),
        ('x = ["local/large@us", "local/mini@eu"]', [MINI_EU, LARGE]),
        ('x = "tier:premium"', [LARGE]),
        ('x = ["y", "local/large"]\ny = "z"\nz = "local/mini@us"', [MINI_US, LARGE]),
    ],
)
def test_an_alias_stands_for_models_deployments_tiers_and_aliases(
    tmp_path: Path, aliases: str, meant: list[str]
) -> None:
    catalog = load(tmp_path, aliases)
    assert [d.id for d in catalog.matching("x")] == meant
    assert catalog.aliases["x"] == meant
    assert catalog.knows("x")


def test_auto_is_every_deployment_whatever_aliases_there_are(tmp_path: Path) -> None:
    assert list(load(tmp_path, 'x = "local/mini@eu"').matching("auto")) == list(load(tmp_path, ""))


@pytest.mark.parametrize(
    ("aliases", "named"),
    [
        ('x = "local/nothing"', ["aliases: x[0]", "local/nothing"]),
        ('x = ["local/mini", "y"]', ["aliases: x[1]"]),
        ('x = "tier:standard"', ["aliases: x[0]", "tier:standard"]),
        ("x = []", ["aliases: x"]),
        ("x = 1", ["aliases.x"]),
        ('auto = "local/mini"', ["aliases: auto"]),
        ('mini = "local/large"', ["aliases: mini"]),
        ('x = "y"\ny = ["local/mini", "z"]\nz = "x"', ["aliases: x", "x → y → z → x"]),
        ('x = "x"', ["aliases: x", "x → x"]),
    ],
)
def test_an_alias_that_cannot_be_followed_is_refused_with_its_path(
    tmp_path: Path, aliases: str, named: list[str]
) -> None:
    with pytest.raises(CatalogError) as refusal:
        load(tmp_path, aliases)
    assert all(name in str(refusal.value) for name in named), refusal.value


def test_a_job_that_names_an_alias_is_taken_in_and_goes_where_it_stands_for(tmp_path: Path) -> None:
    catalog = load(tmp_path, 'smart = "tier:premium"')
    assert list(CatalogChecks(catalog).check_job(JobIn(model="smart", prompt="Hi"), "")) == []
    [plan] = RouteStage(catalog, STRATEGIES, lambda _: None).plan([a_job(model="smart")])
    assert isinstance(plan, RoutingPlan)
    assert [step.deployment for step in plan.steps] == [LARGE]
    assert {gone.deployment for gone in plan.exclusions} == {MINI_EU, MINI_US}


def test_a_wrong_model_is_told_the_alias_that_it_comes_near(tmp_path: Path) -> None:
    catalog = load(tmp_path, 'smartest = "tier:premium"')
    [error] = CatalogChecks(catalog).check_job(JobIn(model="smartes", prompt="Hi"), "")
    assert "smartest" in error.remedy


@pytest.mark.parametrize("model", ["openai/gpt@eu", "anthropic/gpt", "gpt-4"])
def test_what_the_model_does_not_name_is_excluded(model: str) -> None:
    catalog = Catalog([a_deployment("openai/gpt@us")])
    [failure] = RouteStage(catalog, STRATEGIES, lambda _: None).plan([a_job(model=model)])
    assert isinstance(failure, Failure)
    assert model in failure.message


@pytest.mark.parametrize("model", ["auto", "openai/gpt", "gpt", "openai/gpt@us"])
def test_every_name_of_a_deployment_leads_to_it(model: str) -> None:
    deployment = a_deployment("openai/gpt@us")
    assert Catalog([deployment]).matching(model) == (deployment,)


def test_a_deployment_that_comes_later_takes_its_name_back_from_an_alias() -> None:
    old, new = a_deployment("openai/old@us", tier=Tier.ECONOMY), a_deployment("openai/new@us")
    assert Catalog([old], {"new": ("openai/old",)}).matching("new") == (old,)
    assert Catalog([old, new], {"new": ("openai/old",)}).matching("new") == (new,)
