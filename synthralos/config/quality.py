"""The quality table: TOML, the built-in one or that of `QUALITY_TABLE`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from synthralos.config.settings import SettingsError
from synthralos.domain.deployments import Tier
from synthralos.domain.quality import DEFAULT, KINDS, QualityTable, TierPrior

_Share = Annotated[float, Field(ge=0, le=1)]


class _Prior(BaseModel):
    model_config = ConfigDict(extra="forbid")
    weak_quality: _Share
    strong_quality: _Share
    levels: dict[Tier, _Share]

    @field_validator("levels")
    @classmethod
    def _every_tier(cls, levels: dict[Tier, float]) -> dict[Tier, float]:
        missing = [tier.value for tier in Tier if tier not in levels]
        if missing:
            raise ValueError(f"must have a number for {', '.join(missing)}")
        return levels

    def prior(self) -> TierPrior:
        return TierPrior(self.weak_quality, self.strong_quality, self.levels)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")
    give_up: _Share | None = None
    prior: _Prior | None = None
    models: dict[str, dict[str, _Share]] = {}

    @field_validator("models")
    @classmethod
    def _known_kinds(cls, models: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for model, kinds in models.items():
            if DEFAULT not in kinds:
                raise ValueError(f"{model}: {DEFAULT} is missing: its quality over all prompts")
            unknown = sorted(set(kinds) - {DEFAULT, *KINDS})
            if unknown:
                raise ValueError(f"{model}: {unknown[0]} is none of the kinds {', '.join(KINDS)}")
        return models


@cache
def built_in_quality() -> QualityTable:
    """The table that is shipped: assumptions by tier."""
    source = resources.files("synthralos.config").joinpath("quality.toml")
    table = _Table.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))
    if table.give_up is None or table.prior is None:
        raise SettingsError("the built-in quality table is damaged: install the package again")
    return QualityTable(table.prior.prior(), table.give_up, table.models)


def read_quality(path: Path | None) -> QualityTable:
    """The table of the file, and the built-in one where that is silent; raises `SettingsError`."""
    built_in = built_in_quality()
    if path is None:
        return built_in
    try:
        table = _Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(f"QUALITY_TABLE: {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"QUALITY_TABLE: {path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"QUALITY_TABLE: {path} is not TOML: {error}") from None
    except ValidationError as error:
        raise SettingsError(f"QUALITY_TABLE: {path}: {_first(error)}") from None
    prior = table.prior.prior() if table.prior else built_in.prior
    give_up = built_in.give_up if table.give_up is None else table.give_up
    return QualityTable(prior, give_up, _merged(table.models))


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in found["loc"] if part != "[key]")
    reason = {"missing": "is missing", "extra_forbidden": "unknown key"}.get(found["type"], found["msg"])
    return f"{field}: {reason.removeprefix('Value error, ')}"


def _merged(models: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Every kind for each model, by its default where it is not given."""
    return {
        model: {kind: kinds.get(kind, kinds[DEFAULT]) for kind in (DEFAULT, *KINDS)} for model, kinds in models.items()
    }
