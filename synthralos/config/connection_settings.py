"""Settings of what a process connects to and offers: databases, brokers, its address, the catalog and its keys."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from synthralos.config.setting_urls import checked_url

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

_DATABASES = ("sqlite", "postgresql", "postgres")
_BROKERS = ("memory", "amqp", "amqps", "redis", "rediss", "postgresql", "postgres")
_REDIS = ("redis", "rediss")


class ConnectionSettings(BaseSettings):
    """See `settings.Settings`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True, str_strip_whitespace=True
    )

    database_url: str = Field(
        "sqlite:///synthralos.db", description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
    )
    broker_url: str = Field(
        "memory://",
        description="memory://, amqp://… (several hosts with ;), redis://…, or postgresql:// for DATABASE_URL itself",
    )
    broker_namespace: str = Field("synthralos", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="prefix of all queues")
    redis_url: str | None = Field(
        None, description="redis://…, where all workers count rate limits together; without it each counts by itself"
    )
    rate_limit_failure: Literal["open", "closed"] = Field(
        "open", description="while REDIS_URL does not answer: open lets jobs go on uncounted, closed has them wait"
    )

    host: str = Field("127.0.0.1", description="address the API listens on")
    port: int = Field(8080, ge=0, le=65535, description="port the API listens on; 0 picks a free one")
    max_body_bytes: Count = Field(32_000_000, description="largest request body the API reads, in bytes")
    bodies_bytes: Count = Field(
        128 * 1024 * 1024,
        description="bytes of all bodies above 64 KiB that an API process holds at once; MAX_BODY_BYTES at least",
    )
    max_depth: Count = Field(32, description="deepest nesting of a JSON request body")
    submit_timeout: Positive = Field(5.0, description="seconds to try to commit a submission before answering 503")

    catalog_file: Path | None = Field(None, description="TOML file of deployments; the built-in catalog otherwise")
    quality_table: Path | None = Field(
        None, description="TOML file of quality by model and kind of task, for the strategy quality_aware"
    )
    sandbox: Literal["auto", "on", "off"] = Field(
        "auto", description="offer the offline sandbox provider; auto: only while no provider key is set"
    )
    sandbox_bill: Path | None = Field(None, description="JSON-lines file in which the sandbox bills its calls")
    secrets_dir: Path | None = Field(
        None, description="directory of provider keys, one file a credential, named like it; read again when it changes"
    )
    openai_api_key: SecretStr | None = None
    anthropic_api_key: SecretStr | None = None
    google_api_key: SecretStr | None = None

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        parts = checked_url(url, _DATABASES, hosts_by_comma=True)
        if parts.scheme.startswith("sqlite") and (parts.netloc or parts.path in ("", "/")):
            raise ValueError("must name a file: sqlite:///jobs.db in this folder, sqlite:////var/lib/jobs.db elsewhere")
        return url

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, url: str) -> str:
        for one in url.split(";"):
            checked_url(one, _BROKERS, hosts_by_comma=one.startswith("postgres"))
        return url

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, url: str | None) -> str | None:
        if url is not None:
            checked_url(url, _REDIS)
        return url
