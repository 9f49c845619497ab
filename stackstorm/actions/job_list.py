"""Jobs, newest first."""

from lib.base import SynthralosAction, given, shown, told


class JobList(SynthralosAction):
    """Lists jobs by what is asked for."""

    @told
    def run(
        self,
        state=None,
        stage=None,
        model=None,
        lane=None,
        workspace=None,
        user=None,
        run_id=None,
        trace_id=None,
        created_after=None,
        created_before=None,
        limit=50,
        cursor=None,
    ):
        """A page of jobs, and the cursor of the next one."""
        query = given(
            state=state,
            stage=stage,
            model=model,
            lane=lane,
            workspace=workspace,
            user=user,
            run_id=run_id,
            trace_id=trace_id,
            created_after=created_after,
            created_before=created_before,
            limit=limit,
            cursor=cursor,
        )
        page = self.api.get("/api/v1/jobs", query).data
        return {"jobs": [shown(job) for job in page["jobs"]], "next": page["next"]}
