"""What of a job's rows is searched: its words, and markers for the values that an index is asked for with them."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.findings import Decision
from synthralos.domain.search import MOST_READ, Searched, document_of, marker, tag_markers
from synthralos.store.sql.types import id_text


def text_columns(job: Any, result: Any) -> list[Any]:
    """The columns that `document` needs, from the tables or the view that have them."""
    return [
        id_text(job.id), job.organization, job.metadata, result.verdict, result.failure,
        _beginning(job.request).label("request_text"), _beginning(result.result).label("result_text"),
    ]  # fmt: skip


def document(row: Mapping[str, Any], calls: Sequence[Any]) -> str:
    """The words of a job, from a row with `text_columns` and the rows of its calls."""
    failures = [row["failure"], *(call.failure for call in calls)]
    markers = [marker("o", row["organization"]), *tag_markers(row["metadata"])]
    markers += [marker("d", name) for name in dict.fromkeys(call.deployment for call in calls)]
    markers += [marker("c", name) for name in dict.fromkeys(each["class"] for each in failures if each is not None)]
    for finding in (row["verdict"] or {}).get("findings", ()):
        if finding["decision"] != Decision.ALLOW:
            markers.append(marker("f", finding["guard"]))
    searched = Searched(row["request_text"], row["result_text"], failures, row["metadata"], markers)
    return document_of(searched)


def _beginning(text: Any) -> Any:
    return sa.func.substr(sa.type_coerce(text, sa.Text()), 1, MOST_READ)
