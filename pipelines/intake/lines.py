"""Bulk jobs that come while there is a crowd: they wait in the line of their organization."""

from collections.abc import Iterable

from pipelines.spending import LEAST_OUTPUT
from pipelines.tokens import prompt_size
from synthralos.domain.jobs import NewJob
from synthralos.domain.states import Lane


def stand_in_line(jobs: Iterable[NewJob]) -> None:
    """Bulk jobs wait in line, with the tokens that they are expected to take."""
    for job in jobs:
        if job.lane is Lane.BULK:
            request = job.request
            output = LEAST_OUTPUT if request.max_output_tokens is None else request.max_output_tokens
            job.line_tokens = prompt_size(request).estimate + output
