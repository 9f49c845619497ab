"""Settings of the export to RudderStack."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from synthralos.config.connection_settings import ConnectionSettings
from synthralos.config.export_settings import Residency
from synthralos.config.setting_urls import checked_url

_ENDPOINT = "/v1/batch"


class RudderStackSettings(ConnectionSettings):
    """See `settings.Settings`."""

    rudderstack_write_key: SecretStr | None = Field(
        None, description="write key of a RudderStack source, which finished jobs are exported to as events"
    )
    rudderstack_data_plane_url: str | None = Field(
        None, description="https://… of RudderStack's data plane, without /v1/batch"
    )
    rudderstack_residency: Residency | None = Field(
        None, description="where that data plane keeps data, such as eu; undeclared, nothing of EU-classified jobs goes"
    )
    rudderstack_batch_size: Annotated[int, Field(ge=1, le=1_000)] = Field(
        20, description="events of a request; more, within 3.5 MB, while a backlog drains"
    )
    rudderstack_content: Literal["none", "metadata", "all"] = Field(
        "none",
        description="what people wrote and got: none of it, the metadata of jobs, or all, with prompts and answers",
    )

    @field_validator("rudderstack_data_plane_url")
    @classmethod
    def _known_data_plane(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = checked_url(url, ("http", "https"))
        if not parts.hostname or parts.username is not None or parts.query:
            raise ValueError(
                "must name a host, and have no user and no query: https://example.dataplane.rudderstack.com"
            )
        return url.rstrip("/").removesuffix(_ENDPOINT).rstrip("/")

    @field_validator("rudderstack_write_key")
    @classmethod
    def _sendable_write_key(cls, key: SecretStr | None) -> SecretStr | None:
        held = "" if key is None else key.get_secret_value().strip()
        if not all("!" <= char <= "~" and char != ":" for char in held):
            raise ValueError("holds characters that a write key cannot have")
        return SecretStr(held) if held else None

    @model_validator(mode="after")
    def _rudderstack_is_whole(self) -> Self:
        if (self.rudderstack_write_key is None) != (self.rudderstack_data_plane_url is None):
            missing = "WRITE_KEY" if self.rudderstack_write_key is None else "DATA_PLANE_URL"
            raise ValueError(f"RUDDERSTACK_{missing}: has to be set where the other one of the two is")
        return self
