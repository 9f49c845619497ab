"""Settings of webhooks."""

import ipaddress
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from synthralos.config.connection_settings import Count, Positive
from synthralos.config.guard_settings import GuardSettings
from synthralos.domain.addresses import Network


class WebhookSettings(GuardSettings):
    """See `settings.Settings`."""

    webhook_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="private networks that webhooks may be sent to, also by http://, such as 10.0.0.0/8, separated by "
        "commas; all others are refused",
    )
    webhook_threads: Count = Field(16, description="webhooks that the leading scheduler sends at once")
    webhook_timeout: Positive = Field(15.0, description="seconds that a receiver of webhooks may take to answer")

    webhook_failures: Count = Field(
        100,
        description="tries in a row that may fail before an endpoint is disabled: some three days with their pauses",
    )

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _listed_networks(cls, networks: object) -> object:
        if not isinstance(networks, str):
            return networks
        return tuple(network.strip() for network in networks.split(",") if network.strip())

    @field_validator("webhook_networks")
    @classmethod
    def _known_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"{network} is no network: write such as 10.0.0.0/8 or fd00::/8") from None
        return networks

    @property
    def private_webhook_networks(self) -> tuple[Network, ...]:
        """The networks of WEBHOOK_NETWORKS."""
        return tuple(ipaddress.ip_network(network) for network in self.webhook_networks)
