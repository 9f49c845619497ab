"""What a job is taken for that does not say of which class its data is (`UNCLASSIFIED`)."""

from dataclasses import replace

from pipelines.intake.errors import FieldError, InvalidJob
from synthralos.domain.jobs import NewJob
from synthralos.domain.residency import Unclassified

UNSAID = FieldError("constraints.classification", "is missing", "say what the data is: eu, or none")
"""Where each job has to say it."""


def classify(job: NewJob, unclassified: Unclassified) -> None:
    """Have a job that says nothing be of the class that it is taken for; raises `InvalidJob` where it has to say."""
    if job.constraints.classification is not None or unclassified == "none":
        return
    if unclassified == "refuse":
        raise InvalidJob([UNSAID])
    job.constraints = replace(job.constraints, classification=unclassified)
