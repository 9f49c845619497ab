"""A deployment is switched off and on by what was read, and made anew where somebody was faster."""

import unittest

# isort: off
from pack_case import FakeApi  # first: it says where the others lie
from deployment_pause import DeploymentPause
from deployment_resume import DeploymentResume
from st2tests.base import BaseActionTestCase

ID = "openai/gpt@eu"
PATH = "/api/v1/deployments/openai/gpt@eu"


def deployment(enabled, version, entry=None, **more):
    """A deployment as the API shows it, and its version."""
    view = {
        "id": ID,
        "enabled": enabled,
        "source": "file" if entry is None else "database",
        "entry": entry,
        "price": {"input": "1", "output": "2", "cached": None, "above": []},
        "context_window": 9000,
        "max_output": 900,
        "tier": "standard",
        "capabilities": ["json"],
        "max_in_flight": 5,
        "timeout": 60.0,
        "zero_retention": False,
        "residency": "eu",
        "rpm": None,
        "tpm": None,
    }
    return 200, dict(view, **more), {"ETag": '"{}"'.format(version)}


class Case(BaseActionTestCase):
    """Has an API."""

    def setUp(self):
        super().setUp()
        self.api = FakeApi()
        self.addCleanup(self.api.close)

    def switched(self):
        """What the action answers."""
        return self.get_action_instance(self.api.config).run(deployment_id=ID, reason=None)

    def versions(self, method):
        """The versions that writes were made of."""
        return [each[4].get("If-Match") for each in self.api.requests if each[0] == method]


class DeploymentPauseTestCase(Case):
    """Switches off."""

    __test__ = True
    action_cls = DeploymentPause

    def test_a_write_that_came_too_late_is_made_anew(self):
        self.api.answers = {
            ("GET", PATH): [
                deployment(True, 0),
                deployment(True, 7, {"max_output": 5}),
                deployment(False, 8, {}),
            ],
            ("PUT", PATH): [(412, {"detail": "it is at version 7"}), deployment(False, 8, {})],
        }
        done, result = self.switched()
        self.assertEqual((done, result["changed"]), (True, True))
        self.assertEqual(self.versions("PUT"), ['"0"', '"7"'])
        first, second = self.api.asked("PUT", PATH)
        self.assertEqual(second, {"max_output": 5, "enabled": False})
        self.assertEqual(first["price"], {"input": "1", "output": "2", "above": []})
        self.assertNotIn("rpm", first)

    def test_a_price_that_cannot_be_carried_over_leaves_it_on(self):
        self.api.answers = {
            ("GET", PATH): [deployment(True, 0)],
            ("PUT", PATH): [deployment(False, 1, {}, price=None)],
            ("DELETE", PATH): [(200, {})],
        }
        done, result = self.switched()
        self.assertFalse(done)
        self.assertEqual(self.versions("DELETE"), ['"1"'])


class DeploymentResumeTestCase(Case):
    """Switches on."""

    __test__ = True
    action_cls = DeploymentResume

    def test_an_entry_that_stands_for_the_file_is_removed_and_another_is_kept(self):
        entry = {"max_output": 900, "enabled": False}
        for before, method in ((None, "DELETE"), ({"max_output": 900}, "PUT")):
            self.api.requests.clear()
            self.api.answers = {
                ("GET", PATH): [deployment(False, 3, entry), deployment(True, 0)],
                ("GET", "/api/v1/audit"): [
                    (200, {"changes": [{"before": before, "after": entry}]})
                ],
                ("DELETE", PATH): [(200, {})],
                ("PUT", PATH): [deployment(True, 4, {})],
            }
            self.assertEqual(self.switched()[1]["changed"], True)
            self.assertEqual(self.versions(method), ['"3"'])


if __name__ == "__main__":
    unittest.main()
