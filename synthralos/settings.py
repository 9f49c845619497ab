"""Every setting, typed, in one place, read from the environment once per process.

A wrong setting stops the start with one line that names it: `load_settings` raises `SettingsError`.
"""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

_DATABASES = ("sqlite", "postgresql", "postgres")
_BROKERS = ("memory", "amqp", "amqps", "redis", "rediss")


class SettingsError(Exception):
    """A setting is wrong. The message is one line: which one, why, and what it should look like."""


class Settings(BaseSettings):
    """All settings. The environment variable of a field is its name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    database_url: str = Field(
        "sqlite:///synthralos.db", description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
    )
    broker_url: str = Field("memory://", description="memory://, amqp://… (several hosts with ;) or redis://…")
    broker_namespace: str = Field("synthralos", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="prefix of all queues")
    redis_url: str | None = Field(None, description="for shared rate limits and breakers; optional")

    host: str = Field("127.0.0.1", description="address the API listens on")
    port: int = Field(8080, ge=0, le=65535, description="port the API listens on; 0 picks a free one")
    max_body_bytes: Count = Field(32_000_000, description="largest request body the API reads, in bytes")
    max_depth: Count = Field(32, description="deepest nesting of a JSON request body")
    submit_timeout: Positive = Field(5.0, description="seconds to try to commit a submission before answering 503")

    catalog_file: Path | None = Field(None, description="TOML file of deployments; the built-in catalog otherwise")
    sandbox: Literal["auto", "on", "off"] = Field(
        "auto", description="offer the offline sandbox provider; auto: only while no provider key is set"
    )
    sandbox_bill: Path | None = Field(None, description="JSON-lines file in which the sandbox bills its calls")
    openai_api_key: SecretStr | None = None
    anthropic_api_key: SecretStr | None = None
    google_api_key: SecretStr | None = None

    worker_processes: Count = Field(2, description="worker processes of `synthralos worker`")
    worker_threads: Count = Field(8, description="Dramatiq threads per worker process")
    worker_stages: tuple[str, ...] = Field(
        ("guard", "route", "execute", "heal", "analyze"), description="stages that this worker serves (JSON list)"
    )
    flight_slots: Count = Field(10_000, description="provider calls in flight per worker process")
    flight_bytes: Annotated[int, Field(ge=1_000_000)] = Field(
        256 * 1024 * 1024, description="bytes of requests under way per worker process"
    )
    slot_timeout: Positive = Field(
        30.0, description="seconds a message waits for slots before it goes back to the broker"
    )
    deployment_wait: Positive = Field(
        1.0, description="seconds a job waits at a full deployment whose pace is not known yet, before it is parked"
    )
    call_timeout: Positive = Field(120.0, description="seconds a provider call may take at most")
    heartbeat_interval: Positive = Field(2.0, description="seconds between a worker's heartbeats")
    worker_lost_after: Positive = Field(15.0, description="seconds of silence after which a worker is declared lost")
    max_losses: Count = Field(3, description="workers that a job may take down before it is dead-lettered")
    drain_timeout: Positive = Field(
        25.0, description="seconds a worker may take to finish its calls when it shuts down"
    )

    sweep_interval: Positive = Field(0.5, description="least seconds between the sweeper's rounds")
    ring_again_after: Positive = Field(
        10.0, description="seconds after which a queued job that nobody came for is rung again"
    )
    leader_term: Positive = Field(6.0, description="seconds a scheduler leads before it must renew")

    trace_export_file: Path | None = Field(None, description="JSON-lines file that finished traces are appended to")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="the least level that is logged"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="form of a log line; auto: text on a terminal, JSON elsewhere"
    )
    access_log: bool = Field(True, description="log a line for each request that the API answers")
    access_log_sample: float = Field(
        0.01,
        ge=0,
        le=1,
        description="share of successful submissions, reads of a job and probes that get a line; the rest always do",
    )

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if urlsplit(url).scheme.split("+")[0] not in _DATABASES:
            raise ValueError("must start with sqlite:/// or postgresql://")
        return url

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, url: str) -> str:
        if urlsplit(url).scheme not in _BROKERS:
            raise ValueError("must start with memory://, amqp:// or redis://")
        return url

    @field_validator("worker_stages")
    @classmethod
    def _known_stages(cls, stages: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(stages) - {"guard", "route", "execute", "heal", "analyze"}
        if unknown or not stages:
            raise ValueError(f"unknown stages {sorted(unknown)}; choose from guard, route, execute, heal, analyze")
        return stages

    @model_validator(mode="after")
    def _silence_outlasts_heartbeats(self) -> "Settings":
        if self.worker_lost_after < 3 * self.heartbeat_interval:
            raise ValueError("worker_lost_after must be at least 3 times heartbeat_interval")
        return self

    @property
    def embedded(self) -> bool:
        """Whether everything has to run in one process (the in-process broker reaches no other)."""
        return self.broker_url.startswith("memory:")


def load_settings(**overrides: object) -> Settings:
    """The settings from the environment, with `overrides` on top; raises `SettingsError`."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic validates them
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]).upper() or "settings"
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None
