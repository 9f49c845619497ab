"""Residency outside of the route stage: at the moment of the call, in the catalog file, and in a reroute."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.intake.catalog_checks import CatalogChecks
from pipelines.intake.schema import RerouteIn
from synthralos.config.catalog import CatalogError, load_catalog
from synthralos.domain.deployments import Catalog
from synthralos.domain.jobs import Constraints
from synthralos.domain.states import Stage, Transition
from tests.fakes.flow import Scene, planned
from tests.fakes.stage_jobs import a_deployment

FILE = """
[providers.local]
adapter = "openai"
base_url = "http://localhost:8000/v1/"

[[deployment]]
id = "local/qwen@{region}"
context_window = 32_000
max_output = 4_000
{more}
"""


@pytest.mark.parametrize("classification", ["eu", "secret"])
def test_a_plan_that_is_older_than_the_catalog_takes_no_eu_data_elsewhere(classification: str) -> None:
    async def scenario() -> None:
        scene = Scene()
        job = replace(planned(), constraints=Constraints(classification=classification))
        await scene.run(job)
        assert scene.calls == []
        assert scene.begun == []
        assert (Transition.SUCCEED, Stage.ANALYZE) not in scene.endings()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("region", "more", "residency"),
    [
        ("eu", "", "eu"),
        ("us", "", "us"),
        ("westeurope", "", None),
        ("westeurope", 'residency = "eu"', "eu"),
        ("eu", 'residency = "global"', "global"),
    ],
)
def test_a_catalog_declares_residency_apart_from_the_region(
    tmp_path: Path, region: str, more: str, residency: str | None
) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(FILE.format(region=region, more=more), encoding="utf-8")
    [deployment] = load_catalog(path)
    assert (deployment.region, deployment.residency) == (region, residency)


def test_a_residency_that_is_no_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(FILE.format(region="eu", more='residency = "The EU"'), encoding="utf-8")
    with pytest.raises(CatalogError, match="residency"):
        load_catalog(path)


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        (RerouteIn(region="westeurope"), []),
        (RerouteIn(pin="a/b@westeurope"), []),
        (RerouteIn(region="eu"), ["region"]),
        (RerouteIn(pin="a/b@eu"), ["pin"]),
    ],
)
def test_a_reroute_of_eu_data_is_held_against_residency(wanted: RerouteIn, wrong: list[str]) -> None:
    catalog = Catalog([a_deployment("a/b@westeurope", residency="eu"), a_deployment("a/b@eu", residency="global")])
    checks = CatalogChecks(catalog)
    assert [error.field for error in checks.check_residency("eu", wanted)] == wrong
    assert list(checks.check_residency("none", wanted)) == []
