"""The demo's report: for people on a terminal, and as one JSON document for machines."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.job_views import STATE_STYLES
from cli.output import command_name, usd
from cli.waterfall import waterfall
from demo.scenarios import SCENARIOS
from demo.summary import Figures, Summary


def view(summary: Summary) -> RenderableType:
    """The whole report."""
    return Group(
        Text(f"\n{summary.jobs} jobs in {summary.wall:.1f} s, every one through HTTP, database and stages.", "bold"),
        _states(summary),
        Text(
            f"\n{summary.attempts} provider calls: {summary.retries} retries at the same deployment, "
            f"{summary.fallbacks} fallbacks to another."
        ),
        _troubles(summary),
        _models(summary),
        _books(summary),
        _latencies(summary),
        Text(),
        waterfall(summary.shown_trace, summary.shown.id),
    )


def data(summary: Summary) -> dict[str, Any]:
    """The figures as JSON has them: money as strings, times in seconds."""
    books = summary.books
    return {
        "jobs": summary.jobs,
        "states": dict(summary.states),
        "troubles": {name: dict(states) for name, states in summary.troubles.items()},
        "attempts": summary.attempts,
        "retries": summary.retries,
        "fallbacks": summary.fallbacks,
        "failures": dict(summary.failures),
        "models": {
            name: {
                "calls": model.calls,
                "failed": model.failed,
                "input_tokens": model.input,
                "output_tokens": model.output,
                "cost_usd": format(model.cost, "f"),
            }
            for name, model in summary.models.items()
        },
        "prices": "fictional",
        "ledger_usd": format(books.ledger, "f"),
        "bill_usd": format(books.bill, "f"),
        "maybe_billed_attempts": books.maybe,
        "books_agree": books.agree,
        "latency_seconds": summary.latency,
        "undisturbed_latency_seconds": summary.undisturbed,
        "added_seconds": summary.added,
        "wall_seconds": summary.wall,
        "shown_job": summary.shown.id,
    }


def how_to_go_on(url: str, key: str, summary: Summary, up: str | None) -> RenderableType:
    """Commands that work now; `up` is the one that starts the system again, None while it runs."""
    command, shown = command_name(), summary.shown.id
    lines = ["", "How to go on", ""]
    if up is not None:
        lines += [f"  {up}", "", "and in another terminal:", ""]
    lines += [
        f"  export SYNTHRALOS_URL={url} SYNTHRALOS_API_KEY={key}",
        f"  {command} jobs list --state failed",
        f"  {command} jobs show {shown} --timeline",
        f'  {command} jobs submit "Name three rivers of Europe." --wait',
        '  curl -H "Authorization: Bearer $SYNTHRALOS_API_KEY" "$SYNTHRALOS_URL/api/v1/jobs?state=denied&limit=1"',
        "",
        "from Python:",
        "",
        "  from synthralos_client import Client",
        "  with Client() as client:",
        '      job = client.submit("Name three rivers of Europe.")',
        "      print(client.wait(job.id).text)",
    ]
    return Text("\n".join(lines))


def _states(summary: Summary) -> RenderableType:
    parts: list[tuple[str, str]] = []
    for state, count in summary.states.most_common():
        parts += [(f"{count} {state}", STATE_STYLES.get(state, "")), (", ", "")]
    return Text.assemble("Outcomes: ", *parts[:-1])


def _troubles(summary: Summary) -> RenderableType:
    table = Table("injected", "jobs", "ended", title="Trouble on the way", title_justify="left", show_edge=False)
    table.columns[1].justify = "right"
    for scenario in SCENARIOS:
        if states := summary.troubles.get(scenario.name):
            ended = ", ".join(f"{count} {state}" for state, count in states.most_common())
            table.add_row(scenario.name, str(states.total()), ended)
    return table


def _models(summary: Summary) -> RenderableType:
    heads = ("deployment", "calls", "failed", "tokens in", "tokens out", "cost")
    table = Table(*heads, title="\nBy deployment (the sandbox's prices are fictional)", title_justify="left")
    table.show_edge = False
    for column in table.columns[1:]:
        column.justify = "right"
    for name, model in summary.models.items():
        counts = (model.calls, model.failed, model.input, model.output)
        table.add_row(name, *(f"{count:,}" for count in counts), usd(model.cost))
    return table


def _books(summary: Summary) -> RenderableType:
    books = summary.books
    verdict = ("they agree, call by call", "green") if books.agree else ("THEY DIFFER", "bold red")
    sure = books.bill - books.maybe_billed
    return Text.assemble(
        f"\nOur ledger {usd(books.ledger)}, the provider's own bill for the same calls {usd(sure)}: ",
        verdict,
        f".\n{books.maybe} more calls were cut off and are on the books as possibly billed; "
        f"the provider did bill {usd(books.maybe_billed)} for them.",
    )


def _latencies(summary: Summary) -> RenderableType:
    table = Table("from submission to result, ms", "p50", "p95", "p99", title="\nLatency", title_justify="left")
    table.show_edge = False
    for column in table.columns[1:]:
        column.justify = "right"
    rows: dict[str, Figures] = {
        "all that succeeded": summary.latency,
        "without injected trouble": summary.undisturbed,
        "   of it outside the provider (one bulk of all jobs at once)": summary.added,
    }
    for name, figures in rows.items():
        table.add_row(name, *(f"{seconds * 1000:.1f}" for seconds in figures.values()))
    return table
