"""Canary calls: ordinary jobs of the monitor's own, pinned to a deployment that no job comes to probe.

They are booked on an organization like any other job, so they are off unless somebody wants them.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from synthralos.control.announcer import Announcer
from synthralos.domain.breakers import Breaker, BreakerState
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.ids import new_id, trace_id_of
from synthralos.domain.incidents import Incident
from synthralos.domain.jobs import Constraints, NewJob, Request, Tenant
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.incidents import Did
from synthralos.store.admin.organizations import Organizations
from synthralos.store.queue.submissions import Accepted, Idempotency, Submission, Submissions

ACT = "canary"
WORKSPACE = "monitor"
PROMPT = "Answer with the word OK."

UNPROBED = 15.0
"""Seconds for which a probe has to have been due before a canary is sent: a job that comes is worth more."""

EVERY = 10.0
"""Seconds between two canaries of an incident."""

MOST = 12
"""Canaries of one incident: the seven probes of a breaker, and some that fail."""

_LIVES = timedelta(seconds=60)


class Canaries:
    """Sends them. Raises what the store raises."""

    def __init__(
        self,
        breakers: BreakerStore,
        submissions: Submissions,
        organizations: Organizations,
        announcer: Announcer,
        catalog: Callable[[], Catalog],
        organization: str,
    ) -> None:
        """`organization` pays for them."""
        self._breakers, self._submissions, self._organizations = breakers, submissions, organizations
        self._announcer, self._catalog, self._organization = announcer, catalog, organization

    def look(self, incident: Incident, now: datetime) -> Did | None:
        """Send one, where a probe is due and no job comes to be one."""
        sent = [step for step in incident.steps if step.act == ACT]
        deployment = self._catalog().get(incident.subject.name)
        if deployment is None or len(sent) >= MOST or (sent and (now - sent[-1].at).total_seconds() < EVERY):
            return None
        breaker = self._breakers.get(deployment.id)
        if breaker is None or not _wants_probe(breaker, now):
            return None
        return self._send(incident, deployment, len(sent), now)

    def _send(self, incident: Incident, deployment: Deployment, number: int, now: datetime) -> Did:
        """The same canary again, after a leader was killed in it, is the job that was accepted then."""
        job = self._job(incident, deployment, now)
        key = Idempotency(f"canary:{incident.id}:{number}", "canary")
        [accepted] = self._submissions.accept([Submission([job], key)])
        job_id = accepted.job_ids[0] if isinstance(accepted, Accepted) else job.id
        self._announcer.announce([(Stage.GUARD, Lane.INTERACTIVE, job_id)], noticed=False)
        return Did(ACT, "sent", "no job came to probe the deployment", after={"job": job_id})

    def _job(self, incident: Incident, deployment: Deployment, now: datetime) -> NewJob:
        job_id, plan = new_id(), self._organizations.plan_of(self._organization)
        body = {"messages": [{"role": "user", "content": PROMPT}], "max_output_tokens": 16}
        return NewJob(
            job_id,
            Tenant(self._organization, WORKSPACE, None, plan),
            Lane.INTERACTIVE,
            trace_id_of(job_id),
            Request(deployment.model, body),
            Constraints(pin=deployment.id, fallback=False, max_attempts=1),
            metadata={"incident": incident.id},
            deadline=now + _LIVES,
        )


def _wants_probe(breaker: Breaker, now: datetime) -> bool:
    if breaker.state is BreakerState.HALF_OPEN:
        return breaker.claimed < breaker.allowed and (now - breaker.since).total_seconds() >= EVERY
    due = breaker.until
    return breaker.state is BreakerState.OPEN and due is not None and (now - due).total_seconds() >= UNPROBED
