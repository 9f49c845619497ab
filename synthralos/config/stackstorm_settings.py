"""Settings of the link to StackStorm, which repairs what the built-in remedies do not."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from synthralos.config.connection_settings import ConnectionSettings, Count, Positive
from synthralos.config.setting_urls import checked_url
from synthralos.domain.residency import RESIDENCIES
from synthralos.domain.triggers import NAMES, USUAL

_HTTP = ("http", "https")


class StackStormSettings(ConnectionSettings):
    """See `settings.Settings`."""

    stackstorm_api_url: str | None = Field(
        None, description="https://…/api/v1 of StackStorm's API; without it StackStorm is not asked for repairs"
    )
    stackstorm_api_key: SecretStr | None = Field(None, description="StackStorm's API key")
    stackstorm_cacert: Path | None = Field(
        None, description="file of the authorities that StackStorm's certificate is verified by; the system's otherwise"
    )
    stackstorm_residency: str | None = Field(
        None,
        description="where StackStorm is declared to be, such as eu; without it nothing of classified jobs is told it",
    )
    stackstorm_timeout: Positive = Field(5.0, description="seconds that a call to StackStorm's API may take at most")
    stackstorm_patience: Positive = Field(
        60.0, description="seconds a job waits for StackStorm to act; then the built-in remedies go on"
    )
    stackstorm_follow: Positive = Field(
        1_800.0, description="seconds for which an execution of StackStorm is followed to its end"
    )
    stackstorm_executions: Count = Field(
        20, description="executions of StackStorm that may be under way for us at once"
    )

    stackstorm_triggers: Annotated[tuple[str, ...], NoDecode] = Field(
        USUAL, description="triggers that StackStorm is told, separated by commas; job_failed is one for each failure"
    )

    @field_validator("stackstorm_triggers", mode="before")
    @classmethod
    def _listed_triggers(cls, names: object) -> object:
        return [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else names

    @field_validator("stackstorm_triggers")
    @classmethod
    def _known_triggers(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - set(NAMES))
        if unknown:
            raise ValueError(f"knows no trigger {', '.join(unknown)}: choose from {', '.join(NAMES)}")
        return names

    @field_validator("stackstorm_api_url")
    @classmethod
    def _known_stackstorm(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = checked_url(url, _HTTP)
        if not parts.hostname:
            raise ValueError("names no host: write it as https://st2.example.com/api/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no user or password: StackStorm is asked with STACKSTORM_API_KEY")
        return url.rstrip("/")

    @field_validator("stackstorm_api_key")
    @classmethod
    def _sendable_stackstorm_key(cls, key: SecretStr | None) -> SecretStr | None:
        held = "" if key is None else key.get_secret_value().strip()
        if not all("!" <= char <= "~" for char in held):
            raise ValueError("holds characters that an API key cannot have")
        return SecretStr(held) if held else None

    @field_validator("stackstorm_residency")
    @classmethod
    def _known_residency(cls, residency: str | None) -> str | None:
        named = (residency or "").strip().lower()
        if named and named not in RESIDENCIES:
            raise ValueError(f"is no residency: choose from {', '.join(sorted(RESIDENCIES))}")
        return named or None

    @field_validator("stackstorm_cacert")
    @classmethod
    def _readable_cacert(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError("is no file: name one with certificates in PEM form")
        return path

    @model_validator(mode="after")
    def _link_is_whole(self) -> Self:
        if self.stackstorm_api_url is not None and self.stackstorm_api_key is None:
            raise ValueError("STACKSTORM_API_KEY: has to be set where STACKSTORM_API_URL is")
        if self.stackstorm_api_url is None and self.stackstorm_api_key is not None:
            raise ValueError("STACKSTORM_API_URL: has to be set where STACKSTORM_API_KEY is")
        return self
