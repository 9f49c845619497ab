"""Jobs as people read them."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.output import local, printable, shorten, usd
from synthralos_client import Job

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


def table(jobs: list[Job]) -> RenderableType:
    """Jobs, one a row."""
    columns = Table("id", "state", "stage", "model", "tries", "cost", "created", "what", show_edge=False)
    columns.columns[0].no_wrap = True
    columns.columns[-1].no_wrap = True
    for column in (4, 5):
        columns.columns[column].justify = "right"
    for job in jobs:
        raw = job.raw
        model, stage = shorten(str(raw.get("model") or ""), 40), shorten(str(raw.get("stage") or ""), 12)
        cells = (stage, model, str(job.attempts), cost(job), local(job.created_at), shorten(what(job), 60))
        columns.add_row(job.id, state(job), *map(Text, cells))
    return columns


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
    verdict = raw.get("verdict") or {}
    findings = [finding for finding in verdict.get("findings") or [] if finding.get("decision") == "deny"]
    return [str(finding.get("reason", "")) for finding in findings]


def details(job: Job) -> RenderableType:
    """One job with what it was asked, where it went, and what came of it."""
    raw = job.raw
    facts = Table.grid(padding=(0, 2))
    rows: list[tuple[str, str | Text]] = [
        ("job", job.id),
        ("state", state(job)),
        ("trace", job.trace_id),
        ("model", str(raw.get("model") or "")),
        ("tenant", "/".join(str(raw[k]) for k in ("organization", "workspace", "user") if raw.get(k))),
        ("created", local(job.created_at)),
        ("finished", local(job.finished_at)),
        ("attempts", str(job.attempts)),
        ("cost", cost(job) + _maybe_billed(raw)),
        ("plan", _plan(raw)),
        ("denied", "\n".join(denials(raw))),
        ("failure", what(job) if job.failure else ""),
    ]
    for name, value in rows:
        if value:
            facts.add_row(Text(name, "dim"), value if isinstance(value, Text) else Text(printable(value)))
    answer = [] if job.text is None else [Text(), Text(printable(job.text))]
    return Group(facts, *answer)


def _maybe_billed(raw: dict[str, Any]) -> str:
    maybe = (raw.get("cost") or {}).get("maybe_billed_attempts") or 0
    return f" (and {maybe} attempts that may have been billed)" if maybe else ""


def _plan(raw: dict[str, Any]) -> str:
    plan = raw.get("plan") or {}
    return "\n".join(f"{step['deployment']}: {step['reason']}" for step in plan.get("steps", []))
