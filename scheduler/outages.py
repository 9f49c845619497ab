"""Recurring jobs that fail: logged once when it begins and once when it is over, and never fatal."""

import logging
from collections.abc import Callable

from synthralos.store.sql.errors import is_transient

log = logging.getLogger(__name__)


class ResilientTask:
    """Runs a job that has to go on whatever happens to it."""

    def __init__(self, name: str, job: Callable[[], bool]) -> None:
        """`job` says whether there was anything for it to do: an idle run proves nothing."""
        self._name = name
        self._job = job
        self._failing = False

    def __call__(self) -> None:
        """Run the job once; its error goes to the log, the first time in a row."""
        try:
            worked = self._job()
        except Exception as error:  # noqa: BLE001 - the edge of a recurring job: the next run may succeed
            self._report(error)
        else:
            if self._failing and worked:
                log.info("%s works again", self._name)
                self._failing = False

    def _report(self, error: Exception) -> None:
        if self._failing:
            return
        self._failing = True
        if is_transient(error):
            log.warning("%s waits for the database: %s", self._name, error)
        else:
            log.error("%s failed, and will be tried again", self._name, exc_info=error)
