"""A report counts once, whatever becomes of the answers."""

import os
import unittest
from unittest import mock

# isort: off
from pack_case import FakeApi  # first: it says where the others lie
from incident_repair_report import IncidentRepairReport
from st2tests.base import BaseActionTestCase

REPAIR, REPORT = "/api/v1/repairs/r1", "/api/v1/repairs/r1/report"


def repair(acted_at=None, ended_at=None, result=None):
    """A repair as the API shows it."""
    return {"id": "r1", "acted_at": acted_at, "ended_at": ended_at, "result": result}


ACTED = repair("2026-01-31T12:00:00.000000Z", None, {"outcome": "acted", "detail": "paused"})


@mock.patch.dict(os.environ, {"ST2_ACTION_EXECUTION_ID": "65aa"})
class IncidentRepairReportTestCase(BaseActionTestCase):
    """Reports."""

    __test__ = True
    action_cls = IncidentRepairReport

    def setUp(self):
        super().setUp()
        self.api = FakeApi()
        self.addCleanup(self.api.close)

    def reported(self, **more):
        """What the action answers."""
        return self.get_action_instance(self.api.config).run(
            outcome="acted", detail="paused", **more
        )

    def test_it_says_what_was_done_and_by_which_execution(self):
        self.api.answers = {("GET", REPAIR): [(200, repair())], ("POST", REPORT): [(200, ACTED)]}
        done, result = self.reported(repair_id="r1")
        self.assertEqual((done, result["changed"]), (True, True))
        [body] = self.api.asked("POST", REPORT)
        self.assertEqual((body["outcome"], body["detail"]), ("acted", "paused"))
        self.assertEqual(body["reason"], "StackStorm execution 65aa: paused")

    def test_what_was_reported_before_is_not_reported_again(self):
        self.api.answers = {("GET", REPAIR): [(200, ACTED)]}
        self.assertEqual(self.reported(repair_id="r1")[1]["changed"], False)
        self.assertEqual(self.api.asked("POST", REPORT), [])

    def test_an_answer_that_was_lost_is_looked_up_and_not_sent_again(self):
        self.api.answers = {
            ("GET", REPAIR): [(200, repair()), (200, ACTED)],
            ("POST", REPORT): [None],
        }
        self.assertEqual(self.reported(repair_id="r1")[1]["changed"], True)
        self.assertEqual(len(self.api.asked("POST", REPORT)), 1)

    def test_a_report_that_did_not_arrive_is_a_failure(self):
        self.api.answers = {
            ("GET", REPAIR): [(200, repair())],
            ("POST", REPORT): [(503, {"detail": "the database is away"})],
        }
        done, result = self.reported(repair_id="r1")
        self.assertEqual((done, result["error"]["kind"]), (False, "unavailable"))

    def test_what_people_started_is_reported_to_nobody(self):
        done, result = self.reported()
        self.assertEqual((done, result["changed"], self.api.requests), (True, False, []))


if __name__ == "__main__":
    unittest.main()
