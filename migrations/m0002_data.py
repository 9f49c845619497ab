"""How revision 0002 takes the rows of 0001 over, and gives them back.

SQL that is the same on PostgreSQL and SQLite, but for the few expressions of `_WORDS`.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, sha256
from typing import Any

import sqlalchemy as sa

from migrations.m0002_tables import ID, TIME

_WORDS = {
    "postgresql": {
        "same": "IS NOT DISTINCT FROM",
        "json": "CAST({} AS json)",
        "lines": """CAST(json_agg(json_build_array(name, status, started_at,
            CAST(extract(epoch FROM ended_at - started_at) * 1000000 AS bigint), attributes, span_id)
            ORDER BY started_at) AS text)""",
        "now": "clock_timestamp()",
    },
    "sqlite": {
        "same": "IS",
        "json": "{}",
        "lines": """json_group_array(json_array(name, status, started_at,
            (strftime('%s', ended_at) - strftime('%s', started_at)) * 1000000
            + substr(ended_at, 21, 6) - substr(started_at, 21, 6), json(attributes), span_id))""",
        "now": "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
    },
}

_SPANS = sa.table(
    "spans",
    *(sa.column(name, kind) for name, kind in (("job_id", ID), ("started_at", TIME), ("ended_at", TIME))),
    *(sa.column(name, sa.Text()) for name in ("span_id", "name", "status")),
    sa.column("attributes", sa.JSON()),
)

_TOKENS = "input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens"
_ENTRY = "a.deployment, a.provider, a.model, a.region, CAST(l.price AS text) AS price"
_LOGGED = "old_attempts a LEFT JOIN old_costs l ON l.job_id = a.job_id AND l.attempt_no = a.attempt_no"


def take_over(connection: sa.Connection) -> None:
    """Fill the new tables from `old_jobs`, `old_attempts`, `old_costs` and `old_spans`."""
    w = _WORDS[connection.dialect.name]
    _make_entries(connection, w["now"])
    entry = f"""JOIN catalog_entries e ON e.deployment = a.deployment AND e.provider = a.provider
        AND e.model = a.model AND e.region = a.region AND e.price {w["same"]} CAST(l.price AS text)"""
    lines = f"""LEFT JOIN (SELECT job_id, {w["lines"]} AS spans
        FROM (SELECT * FROM old_spans ORDER BY job_id, started_at) ordered GROUP BY job_id) s ON s.job_id = j.id"""
    connection.exec_driver_sql("""
        INSERT INTO jobs SELECT id, organization, workspace, user_id, organization_plan, lane,
          CASE WHEN trace_id <> replace(CAST(id AS text), '-', '') THEN trace_id END,
          parent_span_id, run_id, model, CAST(request AS text), CAST(constraints AS text),
          CASE WHEN CAST(metadata AS text) <> '{}' THEN CAST(metadata AS text) END, deadline, created_at
        FROM old_jobs""")
    connection.exec_driver_sql(f"""
        INSERT INTO open_jobs SELECT j.id, j.state, j.stage, j.lane, j.worker_id, j.claim_no, j.attempts, j.retry_base,
          j.losses, 0, flight.entry_key IS NOT NULL, flight.entry_key, flight.reserved_picousd, flight.started_at,
          j.plan_key, j.plan_cursor, CAST(j.verdict AS text), CAST(j.failure AS text), NULL, s.spans, j.rung_at,
          j.run_at, j.deadline
        FROM old_jobs j LEFT JOIN (
          SELECT a.job_id, a.attempt_no, a.reserved_picousd, a.started_at, e.key AS entry_key
          FROM {_LOGGED} {entry} WHERE a.outcome = 'open') flight
        ON flight.job_id = j.id AND flight.attempt_no = j.attempts {lines} WHERE j.finished_at IS NULL""")
    connection.exec_driver_sql(f"""
        INSERT INTO results SELECT j.id, j.state, j.claim_no, j.attempts, j.retry_base, j.losses, j.plan_key,
          j.plan_cursor, CAST(j.verdict AS text), CAST(j.failure AS text), CAST(j.result AS text), NULL, s.spans,
          j.finished_at, j.analyzed_at
        FROM old_jobs j {lines} WHERE j.finished_at IS NOT NULL""")
    connection.exec_driver_sql(f"""
        INSERT INTO attempts SELECT a.job_id, a.attempt_no, a.worker_id, a.claim_no, e.key, a.outcome, a.billed, a.late,
          CAST(a.failure AS text), coalesce(a.provider_model, l.model), a.provider_request_id, a.input_tokens,
          a.cached_tokens, a.cache_write_tokens, a.output_tokens, a.reasoning_tokens, a.reserved_picousd,
          a.cost_picousd, a.seconds, a.started_at, a.ended_at
        FROM {_LOGGED} {entry} WHERE a.outcome <> 'open'""")


def _make_entries(connection: sa.Connection, now: str) -> None:
    found = connection.exec_driver_sql(f"SELECT DISTINCT {_ENTRY} FROM {_LOGGED}").all()
    insert = sa.text(
        "INSERT INTO catalog_entries (key, deployment, provider, model, upstream_model, region, price, created_at)"
        f" VALUES (:key, :deployment, :provider, :model, :model, :region, :price, {now})"
    )
    for row in found:
        key = blake2b("\0".join(map(str, row)).encode(), digest_size=8).hexdigest()
        connection.execute(insert, {"key": key, **row._asdict()})


def give_back(connection: sa.Connection) -> None:
    """Fill the tables of 0001 again, from the new ones under their `new_` names and from the views."""
    w = _WORDS[connection.dialect.name]
    connection.exec_driver_sql(f"""
        INSERT INTO jobs SELECT j.id, j.organization, j.workspace, j.user_id, j.account_plan, j.lane, j.state, j.stage,
          j.trace_id, j.parent_span_id, j.run_id, j.model, {w["json"].format("j.request")},
          {w["json"].format("coalesce(j.constraints, '{}')")}, {w["json"].format("coalesce(j.metadata, '{}')")},
          j.worker_id, j.claim_no, j.attempts, j.retry_base, j.losses, {w["json"].format("j.verdict")}, j.plan_key,
          j.plan_cursor, {w["json"].format("j.failure")}, {w["json"].format("j.result")}, j.created_at,
          coalesce(j.notified_at, j.created_at), j.run_at, j.deadline, j.finished_at, j.analyzed_at
        FROM all_jobs j""")
    connection.exec_driver_sql(f"""
        INSERT INTO attempts SELECT job_id, attempt_no, worker_id, claim_no, deployment, provider, model, region,
          outcome, billed, late, {w["json"].format("failure")}, provider_model, provider_request_id, {_TOKENS},
          reserved_picousd, cost_picousd, seconds, started_at, ended_at
        FROM all_attempts""")
    connection.exec_driver_sql(f"""
        INSERT INTO model_cost_logs SELECT job_id, attempt_no, organization, workspace, user_id, trace_id, deployment,
          model, billed, {_TOKENS}, {w["json"].format("price")}, cost_picousd, logged_at
        FROM new_costs""")
    _give_spans_back(connection)


def _give_spans_back(connection: sa.Connection) -> None:
    """A row for each span of the jobs' lines."""
    query = sa.text("SELECT CAST(id AS text) AS id, spans FROM all_jobs WHERE spans IS NOT NULL")
    for jobs in connection.execute(query.execution_options(yield_per=1000)).partitions():
        rows = [row for job_id, lines in jobs for row in _span_rows(job_id, lines)]
        if connection.dialect.name == "sqlite":
            rows = [{**row, **{name: _time_text(row[name]) for name in ("started_at", "ended_at")}} for row in rows]
        if rows:
            connection.execute(sa.insert(_SPANS), rows)


def _span_rows(job_id: str, lines: str) -> Iterator[dict[str, Any]]:
    written = [fields for line in lines.split("\n") if line for fields in json.loads(line)]
    ended_at: datetime | None = None
    for number, (name, status, start, microseconds, attributes, *own_id) in enumerate(written):
        started_at = ended_at if start is None else datetime.fromisoformat(start)
        assert started_at is not None, "the first span of a job has its start written out"
        ended_at = started_at + timedelta(microseconds=microseconds)
        yield {
            "job_id": job_id,
            "span_id": own_id[0] if own_id else sha256(f"{job_id}/stage/{number}".encode()).hexdigest()[:16],
            "name": name,
            "status": status,
            "started_at": started_at,
            "ended_at": ended_at,
            "attributes": attributes,
        }


def _time_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"
