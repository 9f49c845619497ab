"""Earlier prompts of workspaces, and the results of equal requests."""

from base64 import b64decode
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.jobs import Request
from synthralos.domain.prompts import Answered, EarlierPrompt, Wanted
from synthralos.domain.retention import REMOVED_REQUEST
from synthralos.domain.states import State
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import among, encode_ids
from synthralos.store.sql.types import asked_at, id_text, word
from synthralos.store.tables import jobs, prompt_similarity_logs, results

_log = prompt_similarity_logs.c
_ROW = (id_text(_log.job_id), _log.organization, _log.workspace, _log.fingerprint, _log.embedder, _log.vector, _log.at)
_MOST = 10_000


class Prompts:
    """Reads them. What a tenant asks for is never answered with anything of another one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._compared = _compared(database.dialect)

    def recent(self, organization: str, workspace: str, seconds: float, most: int) -> list[EarlierPrompt]:
        """The workspace's newest `most` of the last `seconds`, oldest first."""
        newest = (
            sa.select(*_ROW)
            .where(_log.organization == organization, _log.workspace == workspace)
            .where(_log.at > asked_at(sa.literal(-seconds)))
            .order_by(_log.at.desc())
            .limit(most)
        )
        return self._read(newest)[::-1]

    def newer(self, organizations: Collection[str], since: float) -> list[EarlierPrompt]:
        """Those of the organizations since a time (seconds since the epoch), oldest first; a bounded number."""
        then = datetime.fromtimestamp(since, UTC)
        newest = (
            sa.select(*_ROW)
            .where(_log.organization.in_(sorted(organizations)), _log.at > then)
            .order_by(_log.at.desc())
            .limit(_MOST)
        )
        return self._read(newest)[::-1]

    def compared(self, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the comparison of each job's prompt came to, by job id; jobs whose prompt was not compared are left out.

        `matched_job_id`, `score` and `matches` (see `Match`) are None where nothing was near. `matched_classification`
        is that of the nearest one's data, `unknown` where that job is gone.
        """
        ids = {"ids": encode_ids(self._database.dialect, job_ids)}
        with self._database.snapshot() as connection:
            return {row["job_id"]: _classified(row) for row in connection.execute(self._compared, ids).mappings()}

    def requests(self, job_ids: Collection[str]) -> Mapping[str, Request]:
        """What those jobs asked for; jobs that are gone, or whose texts are, are left out."""
        if not job_ids:
            return {}
        wanted = sa.select(id_text(jobs.c.id), jobs.c.model, jobs.c.request).where(jobs.c.id.in_(sorted(job_ids)))
        with self._database.snapshot() as connection:
            rows = connection.execute(wanted).all()
        return {
            row.id: Request(row.model, row.request["body"], row.request["provider_options"])
            for row in rows
            if row.request != REMOVED_REQUEST
        }

    def answered(self, wanted: Sequence[Wanted], seconds: float) -> Mapping[Wanted, Answered]:
        """The newest job of the last `seconds` that brought a result of its own to an equal request."""
        found = (
            sa.select(id_text(_log.job_id), _log.organization, _log.workspace, _log.request_key, results.c.result)
            .join(results, results.c.job_id == _log.job_id)
            .where(
                _log.request_key.in_(sorted({each.request_key for each in wanted})),
                _log.at > asked_at(sa.literal(-seconds)),
                results.c.state == word(State.SUCCEEDED),
                results.c.attempts > 0,
            )
            .order_by(_log.at)
            .limit(_MOST)
        )
        with self._database.snapshot() as connection:
            rows = connection.execute(found).all()
        newest = {
            Wanted(row.organization, row.workspace, row.request_key): Answered(row.job_id, row.result)
            for row in rows
            if row.result
        }
        return {each: newest[each] for each in wanted if each in newest}

    def _read(self, statement: Any) -> list[EarlierPrompt]:
        with self._database.snapshot() as connection:
            rows = connection.execute(statement).all()
        return [
            EarlierPrompt(
                row.job_id,
                row.organization,
                row.workspace,
                row.fingerprint,
                row.embedder,
                b64decode(row.vector),
                row.at.timestamp(),
            )
            for row in rows
        ]


def _compared(dialect: str) -> Any:
    return (
        sa.select(
            id_text(_log.job_id), id_text(_log.matched_job_id), _log.score, _log.matches, _log.embedder, _log.at,
            jobs.c.id.label("found"), jobs.c.constraints,
        )
        .join_from(prompt_similarity_logs, jobs, jobs.c.id == _log.matched_job_id, isouter=True)
        .where(among(dialect, _log.job_id))
    )  # fmt: skip


def _classified(row: sa.RowMapping) -> dict[str, Any]:
    found = dict(row)
    constraints, gone = found.pop("constraints") or {}, found.pop("found") is None
    unknown = "unknown" if gone and found["matched_job_id"] is not None else None
    return {**found, "matched_classification": constraints.get("classification") or unknown}
