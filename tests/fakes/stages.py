"""Stages of a configuration that a test makes up."""

from dataclasses import replace
from random import Random
from typing import Any

from pipelines.flow.stages import BuildStages, Stages, stage_builder
from pipelines.limits.limiter import Limiter
from pipelines.limits.memory import MemoryMeter
from pipelines.limits.protocol import Meter
from synthralos.config.config import Config
from synthralos.config.credentials import Credentials
from synthralos.domain.deployments import Catalog
from synthralos.domain.flags import Flag, Flags, FlagState
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages


def a_config(catalog: Catalog, *off: Flag, **more: Any) -> Config:
    """A configuration with these flags off, whose deployments need no key."""
    flags = Flags({flag: FlagState(False) for flag in off})
    return Config(catalog, Credentials({}, catalog, "on"), flags, **more)


def a_limiter(meter: Meter | None = None, *, fails_open: bool = True) -> Limiter:
    """A limiter; it counts in memory where no meter is given."""
    return Limiter(meter or MemoryMeter(), fails_open=fails_open, outages=Outages(), metrics=Metrics())


def stages_of(catalog: Catalog, *off: Flag, **instead: Any) -> Stages:
    """The stages of such a configuration, some of them replaced."""
    return replace(stage_builder(Random(1), a_limiter())(a_config(catalog, *off)), **instead)


def with_guard(guard: Any) -> BuildStages:
    """The usual stages, but for the guard stage."""
    build = stage_builder(Random(1), a_limiter())
    return lambda config: replace(build(config), guard=guard)
