"""The jobs that this process accepted of late and has not heard the end of: who waits for one need not look first."""

from collections import deque
from collections.abc import Iterable, Sequence

from synthralos.domain.jobs import Tenant
from synthralos.domain.scope import Scope

MOST = 10_000
"""Jobs that are remembered; beyond it the oldest is forgotten, and who waits for it looks first."""


class OpenHere:
    """Tenants of open jobs, by id. Added to on the loop alone; `heard_end` may be called from any thread.

    A job is added before it is written, because its end may be heard before its writer knows that it was written.
    """

    def __init__(self, most: int = MOST) -> None:
        self._tenants: dict[str, Tenant] = {}
        self._order: deque[str] = deque()
        self._most = most

    def add(self, job_id: str, tenant: Tenant) -> None:
        """A job that is about to be written."""
        if len(self._order) >= self._most:
            self._tenants.pop(self._order.popleft(), None)
        self._order.append(job_id)
        self._tenants[job_id] = tenant

    def forget(self, job_ids: Iterable[str]) -> None:
        """Nothing is known of these any more."""
        for job_id in job_ids:
            self._tenants.pop(job_id, None)

    def heard_end(self, job_ids: Sequence[str] | None) -> None:
        """The bus's listener for jobs that are over; None: anything may have been missed."""
        if job_ids is None:
            self._tenants.clear()
        else:
            self.forget(job_ids)

    def shows(self, job_id: str, scope: Scope) -> bool:
        """Whether the job is open as far as was heard, and within the scope."""
        tenant = self._tenants.get(job_id)
        return tenant is not None and scope.admits(tenant.organization, tenant.workspace, tenant.user)
