from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from pipelines.providers.table import PROVIDERS, check_catalog
from scripts.update_prices import differences
from synthralos.config.catalog import CatalogError, load_catalog
from synthralos.domain.deployments import Capability, Tier

HEADER = """
[providers.local]
adapter = "openai"
base_url = "http://localhost:8000/v1/"
"""
ENTRY = """
[[deployment]]
id = "local/qwen@eu"
context_window = 32_000
max_output = 4_000
"""
PRICED = ENTRY + 'price = { input = "0.15", output = "0.6", as_of = "2026-01-01" }\n'
STEP = '{ prompt = 1, input = "1", output = "1" }'
LATER = '{ valid_from = "2027-01-01", input = "1", output = "1" }'


def priced(more: str) -> str:
    """The entry with a price that has more members."""
    return PRICED.replace(" }", f", {more} }}")


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "catalog.toml"
    path.write_text(text, encoding="utf-8")
    return load_catalog(path)


def test_the_built_in_catalog_knows_every_provider_from_cheap_to_strong() -> None:
    catalog = load_catalog(None)
    for provider in ("openai", "anthropic", "google", "sandbox"):
        tiers = {d.tier for d in catalog if d.provider == provider}
        assert tiers == set(Tier), provider


def test_the_built_in_catalog_can_be_called_by_the_adapters() -> None:
    catalog = load_catalog(None)
    check_catalog(catalog)
    assert {d.adapter for d in catalog} <= set(PROVIDERS)


def test_the_built_in_catalog_offers_the_eu_at_an_endpoint_and_with_a_key_of_its_own() -> None:
    catalog = load_catalog(None)
    european = [d for d in catalog if d.region == "eu" and d.adapter != "sandbox"]
    assert european
    for deployment in european:
        elsewhere = [d for d in catalog if d.provider == deployment.provider and d.region != "eu"]
        assert deployment.base_url not in {d.base_url for d in elsewhere}
        assert deployment.api_key_env not in {d.api_key_env for d in elsewhere}


def test_the_built_in_prices_are_the_published_ones() -> None:
    assert [f"{d.id}: {problem}" for d, _, problem in differences()] == []


def test_every_built_in_deployment_has_a_dated_price() -> None:
    for deployment in load_catalog(None):
        assert deployment.price is not None
        assert date.fromisoformat(deployment.price.as_of)


def test_every_built_in_deployment_that_answers_streams_and_takes_schemas() -> None:
    for deployment in load_catalog(None):
        assert deployment.embeds or {Capability.STREAMING, Capability.JSON_SCHEMA} <= deployment.capabilities


def test_what_an_entry_lacks_is_no_ability(tmp_path: Path) -> None:
    catalog = load(tmp_path, HEADER + PRICED + 'capabilities = ["json_mode", "embeddings"]\nlacks = ["streaming"]\n')
    deployment = catalog.get("local/qwen@eu")  # type: ignore[attr-defined]
    assert deployment.abilities == {Capability.JSON_MODE, Capability.JSON_SCHEMA, Capability.EMBEDDINGS}


def test_a_deployment_takes_from_its_provider_what_it_does_not_say_itself(tmp_path: Path) -> None:
    catalog = load(tmp_path, HEADER + PRICED + 'upstream_model = "Qwen/Qwen3"\ncapabilities = ["tools"]\n')
    deployment = catalog.get("local/qwen@eu")  # type: ignore[attr-defined]
    assert (deployment.provider, deployment.model, deployment.region) == ("local", "qwen", "eu")
    assert (deployment.adapter, deployment.base_url) == ("openai", "http://localhost:8000/v1")
    assert deployment.upstream_model == "Qwen/Qwen3"
    assert deployment.capabilities == {Capability.TOOLS}
    assert deployment.price.input == Decimal("0.15")
    assert deployment.api_key_env is None


def test_a_price_has_tiers_and_dates(tmp_path: Path) -> None:
    tiers = 'service_tiers = { flex = "0.5", batch = { input = "0.01", output = "0.02" } }'
    catalog = load(tmp_path, HEADER + priced(f"above = [{STEP}], {tiers}, later = [{LATER}]"))
    price = catalog.get("local/qwen@eu").price  # type: ignore[attr-defined]
    assert price.rates(1).input == Decimal("0.15")
    assert price.rates(2).input == Decimal(1)
    assert price.rates(2, "flex").input == Decimal("0.5")
    assert price.rates(2, "batch").output == Decimal("0.02")
    assert price.rates(2, "priority") is None
    assert price.on("2027-01-01").rates(2).input == 1


def test_a_missing_price_is_unknown_rather_than_free(tmp_path: Path) -> None:
    catalog = load(tmp_path, HEADER + ENTRY)
    assert catalog.get("local/qwen@eu").price is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[deployment", "TOML"),
        ("", "deployment"),
        (HEADER, "deployment"),
        ("extra = 1\n" + HEADER + ENTRY, "extra"),
        (HEADER + "surprise = 1\n" + ENTRY, "providers.local: surprise"),
        (HEADER + ENTRY + "surprise = 1\n", "'local/qwen@eu': surprise"),
        (HEADER + ENTRY + ENTRY, "'local/qwen@eu': id"),
        (HEADER + ENTRY.replace("max_output = 4_000", ""), "'local/qwen@eu': max_output"),
        (HEADER + ENTRY.replace("4_000", "40_000"), "'local/qwen@eu': max_output"),
        (HEADER + ENTRY.replace("4_000", '"4000"'), "'local/qwen@eu': max_output"),
        (HEADER + ENTRY.replace("4_000", "-1"), "'local/qwen@eu': max_output"),
        (HEADER + ENTRY.replace('id = "local/qwen@eu"', ""), "deployment 1: id"),
        (HEADER + ENTRY.replace("local/qwen@eu", "qwen"), "'qwen': id"),
        (HEADER + ENTRY.replace("local/", "elsewhere/"), "'elsewhere/qwen@eu': id"),
        (HEADER + PRICED.replace('"0.15"', '"-0.15"'), "'local/qwen@eu': price.input"),
        (HEADER + PRICED.replace('"0.15"', "0.15"), "'local/qwen@eu': price.input"),
        (HEADER + PRICED.replace('"0.15"', '"cheap"'), "'local/qwen@eu': price.input"),
        (HEADER + PRICED.replace('"0.15"', '"NaN"'), "'local/qwen@eu': price.input"),
        (HEADER + PRICED.replace("2026-01-01", "yesterday"), "'local/qwen@eu': price.as_of"),
        (HEADER + PRICED.replace(', as_of = "2026-01-01"', ""), "'local/qwen@eu': price.as_of"),
        (HEADER + ENTRY + "rpm = 0\n", "'local/qwen@eu': rpm"),
        (HEADER + ENTRY + 'tpm = "many"\n', "'local/qwen@eu': tpm"),
        (HEADER + priced('service_tiers = { turbo = "2" }'), "'local/qwen@eu': price.service_tiers.turbo"),
        (HEADER + priced('service_tiers = { flex = "-2" }'), "'local/qwen@eu': price.service_tiers.flex: must not"),
        (HEADER + priced("service_tiers = { flex = 0.5 }"), "'local/qwen@eu': price.service_tiers.flex: must be a dec"),
        (HEADER + priced('service_tiers = { flex = { input = "1" } }'), "price.service_tiers.flex.output: is missing"),
        (HEADER + priced('above = [{ input = "1", output = "1" }]'), "price.above[0].prompt: is missing"),
        (HEADER + priced(f"above = [{STEP}, {STEP}]"), "'local/qwen@eu': price.above: prompt must rise"),
        (HEADER + priced(f"later = [{LATER}, {LATER}]"), "'local/qwen@eu': price.later: valid_from must rise"),
        (HEADER + priced(f"later = [{LATER.replace('2027', '27')}]"), "'local/qwen@eu': price.later[0].valid_from"),
        (HEADER + PRICED.replace('"0.15"', '"0.1234567"'), "'local/qwen@eu': price.input: must have at most 6"),
        (HEADER + ENTRY + 'tier = "gold"\n', "'local/qwen@eu': tier"),
        (HEADER + ENTRY + 'capabilities = ["tools", "sight"]\n', "'local/qwen@eu': capabilities[1]"),
        (HEADER + ENTRY + 'lacks = ["sight"]\n', "'local/qwen@eu': lacks[0]"),
        (
            HEADER + ENTRY + 'capabilities = ["streaming"]\nlacks = ["streaming"]\n',
            "'local/qwen@eu': lacks: names streaming",
        ),
        (HEADER + ENTRY + 'api_key_env = "sk-123"\n', "'local/qwen@eu': api_key_env"),
        (HEADER.replace("http://", "ftp://") + ENTRY, "providers.local: base_url"),
        (HEADER.replace("localhost", "me:secret@localhost") + ENTRY, "providers.local: base_url"),
    ],
)
def test_a_wrong_catalog_is_refused_in_one_line_that_names_file_entry_and_field(
    tmp_path: Path, text: str, named: str
) -> None:
    with pytest.raises(CatalogError) as refusal:
        load(tmp_path, text)
    message = str(refusal.value)
    assert "\n" not in message
    assert message.startswith(f"{tmp_path / 'catalog.toml'}: ")
    assert named in message


def test_a_catalog_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError):
        load_catalog(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    "extra", ['adapter = "carrier-pigeon"\n', 'options = { max_tokens_field = "words" }\n', "options = { x = 1 }\n"]
)
def test_a_deployment_that_no_adapter_understands_is_refused(tmp_path: Path, extra: str) -> None:
    with pytest.raises(CatalogError):
        check_catalog(load(tmp_path, HEADER + ENTRY + extra))  # type: ignore[arg-type]
