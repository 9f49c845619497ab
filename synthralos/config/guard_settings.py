"""Settings of the guards."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from synthralos.config.connection_settings import ConnectionSettings, Count, Positive
from synthralos.config.setting_urls import checked_url

_HTTP = ("http", "https")
_NEEDED = {
    "builtin": (),
    "sentence-transformers": ("SIMILARITY_MODEL",),
    "openai": ("SIMILARITY_URL", "SIMILARITY_MODEL"),
}
"""What each embedder has to be told."""


class GuardSettings(ConnectionSettings):
    """See `settings.Settings`."""

    abuse_guard: Literal["off", "flag", "deny"] = Field(
        "flag", description="prompts that look like abuse: flag them, deny them, or do not look (saves 0.5 ms a prompt)"
    )
    abuse_patterns: Path | None = Field(
        None, description="TOML file of texts that abuse reads like, beside the built-in ones"
    )

    abuse_second_look: Literal["off", "transformer"] = Field(
        "off",
        description="who looks again at prompts that the abuse model is not sure of: nobody, or a sentence encoder",
    )
    abuse_second_look_model: str | None = Field(
        None, description="all-MiniLM-L6-v2 for the second look: its folder, or an installed package that carries it"
    )
    abuse_second_look_timeout: Positive = Field(
        1.0, description="seconds that the second look may take for a batch of prompts"
    )
    abuse_second_look_failure: Literal["open", "closed"] = Field(
        "open", description="what there was no time to look at again: open goes by the abuse model alone; closed waits"
    )

    secrets_guard: Literal["off", "flag", "redact", "refuse"] = Field(
        "flag",
        description="keys, tokens and passwords in requests: flag them, replace them before they are sent, refuse",
    )
    personal_data_guard: Literal["off", "flag", "redact", "refuse"] = Field(
        "flag", description="addresses, phone, card, account and national numbers in requests: the same choices"
    )

    guardrails_url: str | None = Field(
        None,
        description="http://… of `synthralos guardrails`, which validates prompts and answers; without it nobody does",
    )
    guardrails_timeout: Positive = Field(2.0, description="seconds that guardrails-ai may take for a batch of texts")
    guardrails_failure: Literal["open", "closed"] = Field(
        "open", description="what guardrails-ai could not look at: open lets it go on, flagged; closed does not"
    )
    guardrails_config: Path | None = Field(
        None, description="TOML file of validators, for `synthralos guardrails` alone"
    )
    guardrails_home: Path | None = Field(
        None, description="folder for the environment of `synthralos guardrails`; ~/.cache/synthralos otherwise"
    )

    similar_prompts: Literal["log", "flag", "deny"] = Field(
        "log", description="prompts that were asked before: log them, flag them, or deny them after SIMILAR_DENY_AFTER"
    )
    similar_deny_after: Count = Field(3, description="repeats of a prompt that are let through where they are denied")
    similarity_window: Positive = Field(
        86_400.0, description="seconds for which prompts are compared, and results reused"
    )
    similarity_prompts: Annotated[int, Field(ge=1, le=100_000)] = Field(
        5_000, description="newest prompts of a workspace that each worker compares with"
    )
    similarity_embedder: Literal["builtin", "sentence-transformers", "openai"] = Field(
        "builtin",
        description="what finds near prompts: hashed n-grams, a sentence encoder within the worker, or an endpoint of "
        "OpenAI's API",
    )
    similarity_search: Literal["memory", "pgvector"] = Field(
        "memory",
        description="where near prompts are looked for: the newest in memory, or all of the window in PostgreSQL",
    )
    similarity_url: str | None = Field(
        None, description="https://… that /embeddings is put behind, such as https://api.openai.com/v1"
    )
    similarity_model: str | None = Field(
        None,
        description="the model of embeddings to ask for; for sentence-transformers its folder, or an installed package "
        "that carries it",
    )
    similarity_key: SecretStr | None = Field(None, description="the key of SIMILARITY_URL, where it wants one")
    similarity_residency: str | None = Field(
        None, description="where SIMILARITY_URL is declared to process data: eu lets it see prompts classified eu"
    )
    similarity_timeout: Positive = Field(1.0, description="seconds that the embedder may take for a batch of prompts")
    similarity_days: Positive = Field(30.0, description="days for which prompt_similarity_logs are kept")

    @model_validator(mode="after")
    def _second_look_is_whole(self) -> Self:
        if self.abuse_second_look == "off":
            if self.abuse_second_look_model:
                raise ValueError("ABUSE_SECOND_LOOK: set it to transformer, or unset ABUSE_SECOND_LOOK_MODEL")
        elif not self.abuse_second_look_model:
            raise ValueError("ABUSE_SECOND_LOOK_MODEL: has to be set where ABUSE_SECOND_LOOK is transformer")
        elif self.abuse_guard == "off":
            raise ValueError("ABUSE_SECOND_LOOK: follows the abuse guard: set ABUSE_GUARD to flag or deny")
        return self

    @field_validator("guardrails_url")
    @classmethod
    def _known_guardrails(cls, url: str | None) -> str | None:
        if url is not None:
            parts = checked_url(url, _HTTP)
            if not parts.hostname or parts.username is not None or parts.query:
                raise ValueError("must name a host, and have no user and no query: http://127.0.0.1:8484")
        return url

    @field_validator("similarity_url")
    @classmethod
    def _known_endpoint(cls, url: str | None) -> str | None:
        if url is not None:
            parts = checked_url(url, _HTTP)
            if not parts.hostname or parts.username is not None or parts.query:
                raise ValueError("must name a host, and have no user and no query: https://api.openai.com/v1")
        return url

    @field_validator("similarity_residency")
    @classmethod
    def _plain_residency(cls, residency: str | None) -> str | None:
        """As residencies are written elsewhere: `EU` would open nothing."""
        return residency and residency.strip().lower()

    @field_validator("similarity_key")
    @classmethod
    def _sendable_key(cls, key: SecretStr | None) -> SecretStr | None:
        held = "" if key is None else key.get_secret_value().strip()
        if not all("!" <= char <= "~" for char in held):
            raise ValueError("holds characters that an API key cannot have")
        return SecretStr(held) if held else None

    @model_validator(mode="after")
    def _endpoint_is_whole(self) -> Self:
        given = {"SIMILARITY_URL": self.similarity_url, "SIMILARITY_MODEL": self.similarity_model}
        missing = [name for name in _NEEDED[self.similarity_embedder] if not given[name]]
        if missing:
            raise ValueError(f"{missing[0]}: has to be set where SIMILARITY_EMBEDDER is {self.similarity_embedder}")
        idle = [name for name, value in given.items() if value and name not in _NEEDED[self.similarity_embedder]]
        if idle:
            other = "openai or unset it" if "SIMILARITY_URL" in idle else "openai or sentence-transformers, or unset it"
            raise ValueError(f"SIMILARITY_EMBEDDER: is not one that uses {idle[0]}: set {other}")
        return self
