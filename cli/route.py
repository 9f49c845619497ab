"""`synthralos route`: where a job would go, over HTTP, without running it."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import RenderableType
from rich.text import Text

from cli.clients import client_of
from cli.documents import read_document
from cli.job_files import given, read_requests
from cli.options import Json, Url, output
from cli.output import counted, local, usd
from cli.tables import Column, Listing
from cli.texts import one_line, printable
from synthralos_client.models import parse_time

app = typer.Typer(
    no_args_is_help=True,
    help="Ask where a job would go. The server is SYNTHRALOS_URL (or --url), the key SYNTHRALOS_API_KEY.",
)

_STEPS = (Column("try"), Column("deployment"), Column("about", right=True), Column("because", cut=True))
_EXCLUSIONS = (Column("not"), Column("rule"), Column("because", cut=True), Column("policies"))
_MATCHED = (Column("rule"), Column("decides"), Column("says", cut=True), Column("demands"))


@app.callback()
def connection(url: Url = None) -> None:
    """Options for all of these commands."""


@app.command()
def explain(
    context: typer.Context,
    prompt: Annotated[str | None, typer.Argument(help="The prompt; - reads it from standard input.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="The job request as JSON, instead of a prompt; - is stdin.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="auto, provider/model, a deployment, or an alias.", show_default="auto")
    ] = None,
    max_output_tokens: Annotated[int | None, typer.Option(min=1, show_default=False)] = None,
    strategy: Annotated[str | None, typer.Option(show_default="cheapest")] = None,
    classification: Annotated[str | None, typer.Option(help="Class of the data, such as eu.")] = None,
    region: Annotated[str | None, typer.Option(show_default=False)] = None,
    pin: Annotated[str | None, typer.Option(help="The one deployment to use.", show_default=False)] = None,
    max_cost: Annotated[str | None, typer.Option(help="US dollars for one attempt.", show_default=False)] = None,
    zero_retention: Annotated[
        bool, typer.Option("--zero-retention", help="Only go where the provider is declared to keep nothing.")
    ] = False,
    service_tier: Annotated[
        Literal["auto", "standard", "flex", "priority"] | None,
        typer.Option(help="The provider's tier; auto: flex for what can wait, then standard.", show_default=False),
    ] = None,
    policies: Annotated[
        str | None,
        typer.Option(help="A policy set to try beside those in force: TOML or JSON; - is stdin.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say where a job would go, and why not elsewhere, policies included; nothing is run, stored or paid.

    Examples: `synthralos route explain "Name three rivers" --classification eu`;
    `synthralos --json route explain -f job.json`
    """
    limits: dict[str, Any] = {
        "strategy": strategy,
        "classification": classification,
        "region": region,
        "pin": pin,
        "max_cost_usd": max_cost,
        "zero_retention": zero_retention or None,
        "service_tier": service_tier,
    }
    fields = {"model": model, "max_output_tokens": max_output_tokens, "constraints": given(limits) or None}
    requests = read_requests(prompt, file, given(fields))
    if len(requests) != 1:
        raise typer.BadParameter(f"{file} holds {len(requests)} requests: give one")
    tried = None if policies is None else {"draft": read_document(policies)}
    with client_of(context) as client:
        found = client.explain_route(**requests[0], policies=tried)
    output(context, as_json).show(found, lambda: _shown(found))


def _shown(found: dict[str, Any]) -> list[RenderableType | Listing]:
    failure = found["failure"]
    tokens = f"{found['prompt_tokens']:,} tokens of prompt, {found['output_tokens']:,} of answer"
    head = f"{found['strategy']}, {tokens}" if failure is None else f"would fail ({failure['class']}), {tokens}"
    steps = [[str(number), *_step(step)] for number, step in enumerate(found["steps"], 1)]
    exclusions = [
        [printable(text) for text in (each["deployment"], each["rule"], each["reason"], _rules(each["rules"]))]
        for each in found["exclusions"]
    ]
    parts: list[RenderableType | Listing] = [Text(head, "red" if failure else "")]
    parts += [Listing(_STEPS, steps)] if steps else []
    parts += [Listing(_EXCLUSIONS, exclusions)] if exclusions else []
    return [*parts, *_policies(found["policies"]), Text(_knowledge(found["knowledge"]), "dim")]


def _policies(said: dict[str, Any]) -> list[RenderableType | Listing]:
    """What policies say of the job, where any rule matched or they are not asked."""
    if not said["asked"]:
        return [Text("policies are not asked (enable_policy_engine is off)", "yellow")]
    if not said["matched"]:
        return []
    stopped = said["decision"] in ("deny", "defer")
    head = f"policies: {said['decision']}" + (f", {said['reason']}" if stopped else "")
    rows = [
        [printable(_rule(each)), _decision(each), one_line(each["error"] or each["reason"]), _demands(each["demands"])]
        for each in said["matched"]
    ]
    return [Text(one_line(head), "red" if stopped else ""), Listing(_MATCHED, rows)]


def _rules(rules: list[dict[str, Any]]) -> str:
    return ", ".join(map(_rule, rules))


def _rule(rule: dict[str, Any]) -> str:
    return f"{rule['set_name']} {rule['version'] or '(draft)'}: {rule['rule']}"


def _decision(match: dict[str, Any]) -> str:
    return f"{match['decision']}{' (shadow)' if match['shadow'] else ''}"


def _demands(demands: dict[str, Any]) -> str:
    said = [f"{name} {', '.join(value) if isinstance(value, list) else value}" for name, value in demands.items()]
    return one_line("; ".join(said))


def _step(step: dict[str, Any]) -> list[str]:
    cost, held = step["estimated_cost_usd"], _held_up(step["held_up"])
    because = printable(f"{held}; {step['reason']}" if held else step["reason"])
    return [printable(step["deployment"]), "?" if cost is None else usd(Decimal(cost)), because]


def _held_up(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    shut = "its breaker is open" if found["gate"] == "breaker" else "its quota is used up"
    until = f" until {local(parse_time(found['until']))}" if found["until"] else ": probes alone are made"
    return f"passed over: {shut}{until}" + (f" ({found['reason']})" if found["reason"] else "")


def _knowledge(said: dict[str, Any]) -> str:
    seen = said["latencies"]
    if not seen["answers"]:
        return "no latencies are known: no call was answered in the last hours"
    since = f"from {local(parse_time(seen['oldest']))} to {local(parse_time(seen['newest']))}"
    answers = counted(seen["answers"], "answer")
    return f"latencies: of {answers} that workers got {since}; --json says what workers alone know"
