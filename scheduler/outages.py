"""Recurring jobs that fail: told as outages are (`synthralos.telemetry.outages`), and never fatal."""

from collections.abc import Callable

from synthralos.store.sql import outage
from synthralos.store.sql.errors import is_contention, is_transient
from synthralos.telemetry.outages import DATABASE, Outages


class ResilientTask:
    """Runs a job that has to go on whatever happens to it."""

    def __init__(self, name: str, job: Callable[[], bool], outages: Outages) -> None:
        """`job` says whether there was anything for it to do: an idle run proves nothing."""
        self._name = name
        self._job = job
        self._outages = outages

    def __call__(self) -> None:
        """Run the job once; its error goes to the log, now and once a minute."""
        try:
            worked = self._job()
        except Exception as error:  # noqa: BLE001 - the edge of a recurring job: the next run may succeed
            self._report(error)
        else:
            if worked:
                self._outages.works(DATABASE)
                self._outages.works(self._name)

    def _report(self, error: Exception) -> None:
        if not is_transient(error):
            self._outages.failed(
                self._name, f"a bug: {type(error).__name__}", "report it with these lines", error=error
            )
        elif is_contention(error):
            self._outages.failed(self._name, f"the database is busy: {error}", "it is tried again by itself")
        else:
            outage.tell(self._outages, error)
