"""Every setting, typed, in one place, read from the environment once per process.

Wrong settings stop the start with a line each that names it: `load_settings` raises `SettingsError`. An empty variable
counts as not set: that is what `${VARIABLE:-}` of a compose file means.
"""

import json
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import NoDecode

from synthralos.config.connection_settings import Count, Positive
from synthralos.config.export_settings import ExportSettings
from synthralos.config.monitor_settings import MonitorSettings
from synthralos.config.retention_settings import RetentionSettings
from synthralos.config.rudderstack_settings import RudderStackSettings
from synthralos.config.setting_urls import checked_address
from synthralos.config.stackstorm_settings import StackStormSettings
from synthralos.config.webhook_settings import WebhookSettings
from synthralos.domain.flags import Flag
from synthralos.domain.residency import Unclassified

Override = Annotated[
    bool | None, Field(description="on or off: sets the feature flag for this process, whatever the database says")
]

_STAGES = ("guard", "route", "execute", "heal", "analyze")


class SettingsError(Exception):
    """Settings are wrong. The message has one line for each: which one, why, and what it should look like."""


class Settings(
    MonitorSettings, WebhookSettings, StackStormSettings, RetentionSettings, RudderStackSettings, ExportSettings
):
    """All settings. The environment variable of a field is its name in capitals."""

    policy_stop_percent: float = Field(
        20.0, ge=0, le=100, description="percentage of recorded jobs that a policy set may stop, unless it is forced"
    )
    policy_check_jobs: int = Field(
        1_000, ge=0, le=10_000, description="newest jobs that a policy set is tried on when it is published; 0: none"
    )

    worker_processes: Count = Field(2, description="worker processes of `synthralos worker`")
    worker_threads: Count = Field(8, description="Dramatiq threads per worker process")
    worker_stages: Annotated[tuple[str, ...], NoDecode] = Field(
        _STAGES, description="stages that this worker serves, separated by commas"
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
    unclassified: Unclassified = Field(
        "none",
        description="what a job is taken for that says no classification: none (its data may go anywhere), or eu; "
        "refuse: it has to say",
    )
    drain_timeout: Positive = Field(
        25.0, description="seconds a worker may take to finish its calls when it shuts down"
    )

    sweep_interval: Positive = Field(0.15, description="least seconds between the sweeper's rounds")
    ring_again_after: Positive = Field(
        10.0, description="seconds after which a queued job that nobody came for is rung again"
    )
    observe_share: float = Field(
        0.05,
        gt=0,
        le=1,
        description="share of its time that the leading scheduler spends on figures and full-text search",
    )
    leader_term: Positive = Field(6.0, description="seconds a scheduler leads before it must renew")

    metrics_host: str = Field("127.0.0.1", description="address that METRICS_PORT is opened on; it asks for no key")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="port of a process's metrics; 0: none. WORKER_PROCESSES take as many ports from this one on",
    )
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

    track_model_costs: Override = None
    enable_similarity_logging: Override = None
    enable_langfuse_export: Override = None
    enable_async_trace_export: Override = None
    enable_archgw_routing: Override = None
    enable_policy_engine: Override = None
    enable_rate_limiting: Override = None
    enable_guardrails_ai: Override = None
    enable_stackstorm: Override = None
    enable_stackstorm_retry: Override = None
    enable_stackstorm_reroute: Override = None
    enable_stackstorm_repair_execution: Override = None
    enable_cron_backoff: Override = None
    enable_coalescing: Override = None
    enable_monitor: Override = None

    @field_validator("host", "metrics_host")
    @classmethod
    def _known_host(cls, host: str) -> str:
        return checked_address(host)

    @field_validator("worker_stages", mode="before")
    @classmethod
    def _listed_stages(cls, stages: object) -> object:
        if not isinstance(stages, str):
            return stages
        try:
            return json.loads(stages)
        except ValueError:
            return [stage.strip() for stage in stages.split(",") if stage.strip()]

    @field_validator("worker_stages")
    @classmethod
    def _known_stages(cls, stages: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(stages) - set(_STAGES))
        if unknown or not stages:
            named = f"knows no stage {', '.join(unknown)}" if unknown else "names no stage"
            raise ValueError(f"{named}: choose from {', '.join(_STAGES)}")
        return stages

    @model_validator(mode="after")
    def _silence_outlasts_heartbeats(self) -> "Settings":
        if self.worker_lost_after < 3 * self.heartbeat_interval:
            raise ValueError("WORKER_LOST_AFTER: must be at least 3 times HEARTBEAT_INTERVAL")
        return self

    @model_validator(mode="after")
    def _database_rings_for_its_own_jobs(self) -> "Settings":
        if self.brokerless and not (self.broker_url in (self.database_url, "postgresql://") and self._on_postgresql):
            raise ValueError(
                "BROKER_URL: postgresql:// stands for the database of DATABASE_URL, which has to be PostgreSQL;"
                " no other database can ring"
            )
        return self

    @model_validator(mode="after")
    def _every_process_has_a_port(self) -> "Settings":
        if self.metrics_port + self.worker_processes - 1 > 65535 and self.metrics_port:
            raise ValueError("METRICS_PORT: leaves no port for each of WORKER_PROCESSES, 65535 is the last")
        return self

    @property
    def flag_overrides(self) -> dict[Flag, bool]:
        """The feature flags that the environment decides for this process."""
        named = {flag: getattr(self, flag) for flag in Flag}
        return {flag: value for flag, value in named.items() if value is not None}

    @property
    def _on_postgresql(self) -> bool:
        return self.database_url.startswith("postgres")

    @property
    def brokerless(self) -> bool:
        """Whether the database rings for its jobs itself, so that no broker is needed."""
        return self.broker_url.startswith("postgres")

    def metrics_ports(self, processes: int = 1) -> range:
        """The ports for the metrics of so many processes that are started together; none where they are off."""
        return range(self.metrics_port, self.metrics_port + processes if self.metrics_port else 0)

    @property
    def embedded(self) -> bool:
        """Whether everything has to run in one process (the in-process broker reaches no other)."""
        return self.broker_url.startswith("memory:")


def load_settings(**overrides: object) -> Settings:
    """The settings from the environment, with `overrides` on top; raises `SettingsError`, telling of all at once."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic validates them
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise SettingsError("\n".join(dict.fromkeys(map(_told, problems)))) from None


def _told(problem: ErrorDetails) -> str:
    reason = problem["msg"].removeprefix("Value error, ")
    return f"{str(problem['loc'][0]).upper()}: {reason}" if problem["loc"] else reason
