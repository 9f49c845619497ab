"""A crowd of dead letters is told piece by piece, and nothing is lost between two polls."""

import unittest
from datetime import datetime, timedelta, timezone
from unittest import mock
from urllib.parse import parse_qs

# isort: off
from pack_case import FakeApi, job  # first: it says where the others lie
import failure_sensor
from failure_sensor import FailureSensor
from st2tests.base import BaseSensorTestCase

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)


class Letters(list):
    """Dead letters as the API pages them: by the times that are asked for, the newest job first."""

    def page(self, words):
        """The answer to a query."""
        query = parse_qs(words)
        after, before = query["failed_after"][0], query["failed_before"][0]
        found = [each for each in self if after <= each["finished_at"] < before][::-1]
        begin = int(query.get("cursor", ["0"])[0])
        end = begin + int(query["limit"][0])
        more = str(end) if end < len(found) else None
        return 200, {"jobs": found[begin:end], "next": more}


class FailureSensorTestCase(BaseSensorTestCase):
    """Polls."""

    __test__ = True
    sensor_cls = FailureSensor

    def setUp(self):
        super().setUp()
        self.api = FakeApi()
        self.addCleanup(self.api.close)
        self.letters = Letters()
        self.api.answers = {
            ("GET", "/api/v1/dead-letters"): self.letters.page,
            ("GET", "/api/v1/breaker-changes"): [(200, {"changes": [], "next": None})],
        }
        self.at(NOW)
        self.sensor = self.started()
        self.sensor.poll()

    def started(self):
        """A sensor that was just started."""
        sensor = self.get_sensor_instance(self.api.config)
        sensor.setup()
        return sensor

    def at(self, now):
        """Set the API's clock."""
        date = now.strftime("%a, %d %b %Y %H:%M:%S GMT")
        self.api.answers[("GET", "/health/live")] = [(200, {}, {"Date": date})]

    def die(self, count, at):
        """Jobs fail, a microsecond apart."""
        for number in range(count):
            failed = at + timedelta(microseconds=number)
            when = failed.isoformat(timespec="microseconds").replace("+00:00", "Z")
            self.letters.append(job(id="j{}".format(len(self.letters)), finished_at=when))

    def told(self):
        """The ids that were told, in order."""
        return [each["payload"]["job_id"] for each in self.get_dispatched_triggers()]

    def test_a_crowd_is_told_over_several_polls_in_order_across_restarts(self):
        with mock.patch.multiple(failure_sensor, PAGE=4, MOST_PAGES=2, MOST_TOLD=7, KEEP_EVERY=3):
            self.die(40, NOW + timedelta(seconds=1))
            for number in range(8):
                self.at(NOW + timedelta(seconds=2 + number))
                self.sensor.poll()
                if number == 3:
                    self.sensor = self.started()
        self.assertEqual(self.told(), ["j{}".format(number) for number in range(40)])

    def test_a_letter_that_becomes_visible_late_is_told(self):
        self.die(1, NOW + timedelta(seconds=30))
        self.at(NOW + timedelta(seconds=40))
        self.sensor.poll()
        self.die(1, NOW + timedelta(seconds=20))
        self.at(NOW + timedelta(seconds=70))
        self.sensor.poll()
        self.assertEqual(self.told(), ["j0", "j1"])

    def test_what_was_told_is_forgotten_once_it_lies_before_the_window(self):
        self.die(3, NOW + timedelta(seconds=1))
        self.at(NOW + timedelta(seconds=2))
        self.sensor.poll()
        self.assertIn("j0", self.sensor_service.get_value("failure_sensor_dead_letters"))
        self.at(NOW + timedelta(seconds=200))
        self.sensor.poll()
        self.assertNotIn("j0", self.sensor_service.get_value("failure_sensor_dead_letters"))
        self.assertEqual(self.told(), ["j0", "j1", "j2"])


if __name__ == "__main__":
    unittest.main()
