"""The bases of a pack's tests: the same names, attributes and helpers as StackStorm's."""

import logging
import unittest


class Value:
    """An entry of the datastore."""

    def __init__(self, name, value):
        self.name = name
        self.value = value


class SensorService:
    """What a sensor gets of StackStorm, in memory."""

    def __init__(self):
        self.dispatched_triggers = []
        self.values = {}

    def get_logger(self, name):
        """A logger."""
        return logging.getLogger(name)

    def dispatch(self, trigger, payload=None, trace_tag=None):
        """Note a trigger."""
        self.dispatched_triggers.append({"trigger": trigger, "payload": payload})

    def get_value(self, name, local=True):
        """A value, or None."""
        return self.values.get(name)

    def set_value(self, name, value, ttl=None, local=True):
        """Keep a value, as text."""
        self.values[name] = str(value)
        return True

    def list_values(self, local=True, prefix=None):
        """The values whose names begin so."""
        return [
            Value(name, value)
            for name, value in self.values.items()
            if name.startswith(prefix or "")
        ]


class BaseActionTestCase(unittest.TestCase):
    """Tests one action."""

    __test__ = False
    action_cls = None

    def get_action_instance(self, config=None):
        """The action with that configuration."""
        return self.action_cls(config=config, action_service=None)


class BaseSensorTestCase(unittest.TestCase):
    """Tests one sensor."""

    __test__ = False
    sensor_cls = None

    def setUp(self):
        super().setUp()
        self.sensor_service = SensorService()

    def get_sensor_instance(self, config=None, poll_interval=None):
        """The sensor with that configuration."""
        return self.sensor_cls(sensor_service=self.sensor_service, config=config)

    def get_dispatched_triggers(self):
        """What it dispatched."""
        return self.sensor_service.dispatched_triggers
