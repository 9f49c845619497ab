"""A retry is done once, whatever becomes of the answers."""

import os
import unittest
from unittest import mock

# isort: off
from pack_case import FakeApi, job  # first: it says where the others lie
from job_retry import JobRetry
from st2tests.base import BaseActionTestCase

JOB, RETRY, TRACE = "/api/v1/jobs/j1", "/api/v1/jobs/j1/retry", "/api/v1/observability/traces/t1"
REASON = "StackStorm execution 65aa: it works again"


def trace(*reasons):
    """The trace of a job that was retried for these reasons."""
    events = [{"kind": "retry", "data": {"reason": reason}} for reason in reasons]
    return {"jobs": [{"job": {"id": "j1"}, "events": events}]}


@mock.patch.dict(os.environ, {"ST2_ACTION_EXECUTION_ID": "65aa"})
class JobRetryTestCase(BaseActionTestCase):
    """Retries a job."""

    __test__ = True
    action_cls = JobRetry

    def setUp(self):
        super().setUp()
        self.api = FakeApi()
        self.addCleanup(self.api.close)

    def retried(self, **more):
        """What the action answers."""
        return self.get_action_instance(self.api.config).run(
            job_id="j1", reason="it works again", **more
        )

    def test_a_dead_letter_is_retried_and_the_execution_is_named(self):
        self.api.answers = {
            ("GET", JOB): [(200, job())],
            ("POST", RETRY): [(200, job("queued"))],
        }
        done, result = self.retried()
        self.assertTrue(done)
        self.assertTrue(result["changed"])
        self.assertEqual(self.api.asked("POST", RETRY), [{"reason": REASON}])
        self.assertNotIn("request", result["job"])

    def test_an_answer_that_was_lost_is_not_asked_for_twice(self):
        self.api.answers = {
            ("GET", JOB): [(200, job()), (200, job("queued"))],
            ("POST", RETRY): [None],
            ("GET", TRACE): [(200, trace("somebody else's", REASON))],
        }
        done, result = self.retried()
        self.assertEqual((done, result["changed"]), (True, True))
        self.assertEqual(len(self.api.asked("POST", RETRY)), 1)

    def test_what_is_not_on_record_was_not_done(self):
        self.api.answers = {
            ("GET", JOB): [(200, job())],
            ("POST", RETRY): [(503, {"detail": "the database is away"})],
            ("GET", TRACE): [(200, trace("somebody else's"))],
        }
        done, result = self.retried()
        self.assertFalse(done)
        self.assertEqual(result["error"]["kind"], "unavailable")
        self.assertEqual(len(self.api.asked("POST", RETRY)), 1)

    def test_somebody_who_was_faster_is_no_error(self):
        self.api.answers = {
            ("GET", JOB): [(200, job()), (200, job("queued"))],
            ("POST", RETRY): [(409, {"detail": "it is queued"})],
        }
        done, result = self.retried()
        self.assertEqual((done, result["changed"]), (True, False))

    def test_a_job_that_moved_since_is_left_alone(self):
        self.api.answers = {("GET", JOB): [(200, job())]}
        done, result = self.retried(if_finished_at="2026-01-30T00:00:00.000000Z")
        self.assertEqual((done, result["changed"]), (True, False))
        self.assertEqual(self.api.asked("POST", RETRY), [])

    def test_reads_are_tried_again_and_refusals_are_not(self):
        self.api.answers = {
            ("GET", JOB): [(503, {}, {"Retry-After": "0"}), (200, job("active"))],
        }
        self.assertEqual(self.retried()[1]["changed"], False)
        self.api.answers = {("GET", JOB): [(403, {"detail": "not yours"})]}
        before = len(self.api.requests)
        done, result = self.retried()
        self.assertEqual((done, result["error"]["kind"]), (False, "forbidden"))
        self.assertEqual(len(self.api.requests), before + 1)


if __name__ == "__main__":
    unittest.main()
