"""Jobs that failed for good, newest first, or what they failed of."""

from lib.base import SynthralosAction, given, shown, told


class DeadLettersList(SynthralosAction):
    """Lists dead letters, or groups them by cause."""

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
        causes=False,
        limit=50,
        cursor=None,
    ):
        """A page of dead letters and the next one's cursor; with `causes`, their causes instead."""
        query = given(
            failure_class=failure_class,
            model=model,
            deployment=deployment,
            workspace=workspace,
            user=user,
            run_id=run_id,
            failed_after=failed_after,
            failed_before=failed_before,
        )
        if causes:
            return self.api.get("/api/v1/dead-letters/causes", query).data
        query.update(given(limit=limit, cursor=cursor))
        page = self.api.get("/api/v1/dead-letters", query).data
        return {"jobs": [shown(job) for job in page["jobs"]], "next": page["next"]}
