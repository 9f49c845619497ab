"""Many dead letters are retried, in the background of SynthralOS."""

from lib.base import given, told
from lib.dead_letters import DeadLettersAction


class DeadLettersRetry(DeadLettersAction):
    """Retries them."""

    @told
    def run(
        self,
        failure_class=None,
        model=None,
        deployment=None,
        workspace=None,
        user=None,
        run_id=None,
        failed_after=None,
        failed_before=None,
        jobs=None,
        everything=False,
        per_second=None,
        reason=None,
        key=None,
        wait=0,
    ):
        """The operation; with `wait`, when it is over or so many seconds are."""
        wanted = given(
            failure_class=failure_class,
            model=model,
            deployment=deployment,
            workspace=workspace,
            user=user,
            run_id=run_id,
            failed_after=failed_after,
            failed_before=failed_before,
            jobs=jobs or None,
        )
        return self.operated("retry", wanted, everything, per_second, reason, key, wait)
