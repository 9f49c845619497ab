"""The delivery of webhooks, put together once per scheduler process."""

from collections.abc import Callable

from scheduler.delivering.core import Delivering
from scheduler.webhooks.channel import WebhookChannel
from scheduler.webhooks.post import Poster
from synthralos.bus.protocol import Bus
from synthralos.core import Core
from synthralos.store.queue.leading import Lead


class WebhookDelivery:
    """Sends webhooks while this process leads. `lead`: by which lead, if it does."""

    def __init__(self, core: Core, lead: Callable[[], Lead | None]) -> None:
        settings = core.settings
        self._poster = Poster(settings.private_webhook_networks, settings.webhook_timeout)
        channel = WebhookChannel(core.database, self._poster)
        self._delivering = Delivering(
            core.database,
            channel,
            lead,
            core.outages,
            core.metrics,
            threads=settings.webhook_threads,
            disable=channel.disable,
            disable_after=settings.webhook_failures,
        )

    def start(self, bus: Bus) -> None:
        """Begin; returns at once."""
        self._delivering.start(bus)

    def stop(self) -> None:
        """Finish what is being sent."""
        self._delivering.stop()
        self._poster.close()
