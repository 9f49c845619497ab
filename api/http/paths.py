"""Paths that more than one part has to know."""

JOBS_PATH = "/api/v1/jobs"
