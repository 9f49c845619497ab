"""Dead letters as lines of a file: what is exported, and what a line becomes when it is imported."""

from collections.abc import Mapping
from typing import Any

from pipelines.intake.errors import FieldError, InvalidJob
from pipelines.intake.schema import ConstraintsIn
from synthralos.domain.ids import is_id


def exported_job(row: Mapping[str, Any]) -> dict[str, Any]:
    """A job's row as the document of a new job: what was asked and demanded of it, without its deadline.

    It is not told while it is written, because nobody listens any more, and what was approved is to be approved anew.
    """
    request, constraints = row["request"], row["constraints"] or {}
    demanded = {name: value for name, value in constraints.items() if name in ConstraintsIn.model_fields}
    document = {
        "model": row["model"],
        **request["body"],
        "provider_options": request["provider_options"] or None,
        "constraints": {name: value for name, value in demanded.items() if value is not None} or None,
        "metadata": row["metadata"] or None,
        "run_id": row["run_id"],
        "organization": row["organization"],
        "workspace": row["workspace"],
        "user": row["user_id"],
    }
    return {name: value for name, value in document.items() if value is not None}


def imported_line(line: Any) -> tuple[str, dict[str, Any]]:
    """The exported id and the job's document in a line; raises `InvalidJob`."""
    if not isinstance(line, dict):
        raise InvalidJob([FieldError("line", "is no JSON object", "send lines as the export wrote them")])
    exported_id, job = line.get("id"), line.get("job")
    errors = []
    if not isinstance(exported_id, str) or not is_id(exported_id):
        errors.append(
            FieldError("id", "is no id of a job", "keep the one that was exported: it has a line imported once")
        )
    if not isinstance(job, dict):
        errors.append(FieldError("job", "is no JSON object", "send the job as it was exported"))
    if errors:
        raise InvalidJob(errors)
    assert isinstance(exported_id, str)
    assert isinstance(job, dict)
    return exported_id.lower(), job
