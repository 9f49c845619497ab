"""Jobs as people read them."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.output import local, usd
from cli.tables import Column, Listing
from cli.texts import printable, shorten
from synthralos_client import Job
from synthralos_client.models import parse_time

STATE_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "denied": "red",
    "expired": "red",
    "cancelled": "yellow",
    "parked": "yellow",
    "active": "cyan",
    "queued": "cyan",
}


def receipt(job: Job) -> RenderableType:
    """What a submission brought."""
    return Text.assemble(job.id, "  ", state(job))


def receipts(jobs: list[Job]) -> RenderableType:
    """What a submission of many brought: one id a line, for the next command in a pipe."""
    return Text("\n".join(job.id for job in jobs))


def state(job: Job) -> Text:
    """The state in its color."""
    return Text(printable(job.state), STATE_STYLES.get(job.state, ""))


COLUMNS = (
    Column("id"),
    Column("state"),
    Column("stage"),
    Column("model", cut=True),
    Column("tries", right=True),
    Column("cost", right=True),
    Column("created"),
    Column("what", cut=True),
)

PREVIEW = 500
"""Characters of an answer that a list shows at most, also in a pipe."""


def table(jobs: list[Job]) -> Listing:
    """Jobs, one a row."""
    return Listing(COLUMNS, [_row(job) for job in jobs])


def _row(job: Job) -> list[str | Text]:
    raw = job.raw
    where, told = str(raw.get("stage") or ""), shorten(what(job), PREVIEW)
    return [
        job.id,
        state(job),
        where,
        str(raw.get("model") or ""),
        str(job.attempts),
        cost(job),
        local(job.created_at),
        told,
    ]


def what(job: Job) -> str:
    """The answer, or what kept it away."""
    if job.failure is not None:
        return f"{job.failure.kind}: {job.failure.message}"
    if job.text is not None:
        return job.text
    return "; ".join(denials(job.raw))


def cost(job: Job) -> str:
    """What it cost, and whether that is all of it."""
    return usd(job.cost) + ("" if job.cost_known else " + ?")


def denials(raw: dict[str, Any]) -> list[str]:
    """The reasons that the guards gave for a denial."""
    return _reasons(raw, "deny")


def _reasons(raw: dict[str, Any], decision: str) -> list[str]:
    """What the guards said where they decided so."""
    findings = (raw.get("verdict") or {}).get("findings") or []
    return [str(finding.get("reason", "")) for finding in findings if finding.get("decision") == decision]


def details(job: Job) -> RenderableType:
    """One job with what it was asked, where it went, and what came of it."""
    raw = job.raw
    facts = Table.grid(padding=(0, 2))
    rows: list[tuple[str, str | Text]] = [
        ("job", job.id),
        ("state", state(job)),
        ("stage", str(raw.get("stage") or "")),
        ("waits until", local(parse_time(raw.get("run_at")))),
        ("its turn comes about", local(parse_time(raw.get("expected_at")))),
        ("waits for", str(raw.get("waits_for") or "")),
        ("trace", job.trace_id),
        ("model", str(raw.get("model") or "")),
        ("tenant", "/".join(str(raw[k]) for k in ("organization", "workspace", "user") if raw.get(k))),
        ("created", local(job.created_at)),
        ("finished", local(job.finished_at)),
        ("attempts", str(job.attempts)),
        ("cost", cost(job) + _maybe_billed(raw)),
        ("plan", _plan(raw)),
        ("flagged", "\n".join(_reasons(raw, "flag"))),
        ("asked before", "\n".join(_reasons(raw, "allow"))),
        ("reused", "\n".join(_reasons(raw, "reuse"))),
        ("denied", "\n".join(denials(raw))),
        ("failure", what(job) if job.failure else ""),
    ]
    for name, value in rows:
        if value:
            facts.add_row(Text(name, "dim"), value if isinstance(value, Text) else Text(printable(value)))
    answer = [] if job.text is None else [Text(), Text(printable(job.text))]
    return Group(facts, *answer, *_vectors(job))


def _vectors(job: Job) -> list[Text]:
    """How many vectors there are, and how large; they themselves are in the JSON."""
    if not job.embeddings:
        return []
    first = job.embeddings[0]
    numbers = len(first) * 3 // 16 if isinstance(first, str) else len(first)
    return [Text(), Text(f"{len(job.embeddings)} x {numbers} numbers (--json shows them)")]


def _maybe_billed(raw: dict[str, Any]) -> str:
    maybe = (raw.get("cost") or {}).get("maybe_billed_attempts") or 0
    return f" (and {maybe} attempts that may have been billed)" if maybe else ""


def _plan(raw: dict[str, Any]) -> str:
    plan = raw.get("plan") or {}
    return "\n".join(f"{step['deployment']}: {step['reason']}" for step in plan.get("steps", []))
