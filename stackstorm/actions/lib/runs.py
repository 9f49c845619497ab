"""Agent runs as actions tell them."""

MOST_STEPS = 200
"""Steps that a result lists; a run may have thousands, and StackStorm keeps every result."""


def shown_run(run):
    """A run at a glance, with the questions answered that workflows ask."""
    steps = run["steps"]
    recoverable = [step for step in steps if step["recoverable"]]
    open_jobs = [job["id"] for step in steps for job in step["jobs"] if job["finished_at"] is None]
    jobs = {job["id"]: job for step in steps for job in step["jobs"]}
    return {
        "id": run["id"],
        "state": run["state"],
        "succeeded": run["state"] == "succeeded",
        "finished": run["state"] != "running",
        "steps": [_step(step) for step in steps[:MOST_STEPS]],
        "steps_in_all": len(steps),
        "recoverable": len(recoverable),
        "most_attempts": max((jobs[step["job_id"]]["attempts"] for step in recoverable), default=0),
        "open_jobs": open_jobs[:MOST_STEPS],
        "jobs": run["jobs"],
        "cost": run["cost"],
        "started_at": run["started_at"],
        "ended_at": run["ended_at"],
        "more": run["more"],
    }


def _step(step):
    names = ("name", "input", "state", "job_id", "recoverable")
    return dict({name: step[name] for name in names}, jobs=len(step["jobs"]))
