"""The base of polling sensors, as far as the pack uses it."""

import abc


class PollingSensor(abc.ABC):
    """Is polled in intervals by StackStorm's container."""

    def __init__(self, sensor_service, config=None, poll_interval=5):
        self.sensor_service = sensor_service
        self.config = config or {}
        self.poll_interval = poll_interval

    @abc.abstractmethod
    def setup(self):
        """Before the first poll."""

    @abc.abstractmethod
    def poll(self):
        """Look once."""
