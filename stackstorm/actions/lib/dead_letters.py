"""One operation on dead letters is started once, and followed in the background of SynthralOS."""

import hashlib
import time

from lib.base import SynthralosAction, given, path_id
from lib.synthralos_api import ApiError

OPERATIONS = "/api/v1/dead-letters/operations"
OVER = frozenset({"done", "cancelled"})
LOOK_EVERY = 2.0
"""Seconds between two looks at an operation."""


class DeadLettersAction(SynthralosAction):
    """Starts one operation, or finds the one that this execution, or this key, started before."""

    def operated(self, act, wanted, everything, per_second, reason, key, wait, changes=None):
        """The operation, as an action tells it; with `wait`, when it is over or so many seconds
        are.
        """
        if not wanted and not everything:
            raise ApiError("invalid", "say which dead letters, or set everything to true")
        name = "stackstorm:{}".format(key or self.execution)[:200]
        body = given(
            act=act, filter=wanted, name=name, per_second=per_second, changes=changes or None
        )
        body["reason"] = self.reason(reason)
        started, operation = self._started(name, body, repeatable=bool(key or self.execution))
        return {"changed": started, "operation": self._followed(operation, wait or 0)}

    def _started(self, name, body, repeatable):
        found = self._named(name) if repeatable else None
        if found is not None:
            return False, found
        # The name may hold what no header can.
        digest = hashlib.sha256(name.encode("utf-8")).hexdigest()
        key = "stackstorm-{}-{}".format(self.execution, digest) if self.execution else None
        try:
            return True, self.api.post(OPERATIONS, body, key).data
        except ApiError as error:
            if error.kind not in ("ambiguous", "unavailable", "server_error"):
                raise
            found = self._named(name) if repeatable else None
            if found is None:
                raise
            return True, found

    def _named(self, name):
        """The operation of that name among the newest."""
        newest = self.api.get(OPERATIONS, {"limit": 200}).data["operations"]
        return next((each for each in newest if each["name"] == name), None)

    def _followed(self, operation, wait):
        until = time.monotonic() + wait
        while operation["state"] not in OVER and time.monotonic() < until:
            time.sleep(min(LOOK_EVERY, max(0.0, until - time.monotonic())))
            operation = self.api.get(OPERATIONS + "/" + path_id(operation["id"])).data
        return operation
