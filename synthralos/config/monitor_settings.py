"""Settings of the monitor."""

from pydantic import Field

from synthralos.config.connection_settings import ConnectionSettings, Positive


class MonitorSettings(ConnectionSettings):
    """See `settings.Settings`."""

    monitor_share: float = Field(
        0.02, gt=0, le=1, description="share of its time that the leading scheduler spends on watching calls and queues"
    )
    monitor_escalate_after: Positive = Field(
        600.0, description="seconds after a repair until an incident that goes on is taken to people"
    )
    monitor_canary: bool = Field(
        False,
        description="call a deployment whose breaker an incident opened, where no job comes to probe it; costs money",
    )
    monitor_canary_organization: str = Field(
        "default", min_length=1, max_length=200, description="the organization that canary calls are booked on"
    )
