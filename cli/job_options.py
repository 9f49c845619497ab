"""The options of `synthralos jobs submit` by what they are about. Each group makes its part of a request."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import typer

from cli.job_files import given
from synthralos.domain.states import Lane


@dataclass
class RequestOptions:
    """What is asked, and whose job it is."""

    panel: ClassVar[str] = "The request"

    model: Annotated[
        str | None, typer.Option(help="auto, provider/model, a deployment, or an alias.", show_default="auto")
    ] = None
    max_output_tokens: Annotated[int | None, typer.Option(min=1, show_default=False)] = None
    temperature: Annotated[float | None, typer.Option(min=0, max=2, show_default=False)] = None
    lane: Annotated[Lane | None, typer.Option(show_default=False)] = None
    deadline: Annotated[float | None, typer.Option(help="Seconds until it is too late.", show_default=False)] = None
    run_id: Annotated[str | None, typer.Option(help="Groups the jobs of one run.", show_default=False)] = None
    metadata: Annotated[list[str] | None, typer.Option("--meta", metavar="NAME=VALUE")] = None
    stream: Annotated[bool, typer.Option("--stream", help="Show the answer while it is written.")] = False
    embed: Annotated[
        bool, typer.Option("--embed", help="Make a vector of each prompt instead of an answer; needs --model.")
    ] = False
    dimensions: Annotated[
        int | None, typer.Option(min=1, help="Numbers of a vector, where the model can choose.", show_default=False)
    ] = None

    def fields(self) -> dict[str, Any]:
        """The fields of a request that were given."""
        fields = {
            "model": self.model,
            "max_output_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "lane": self.lane,
            "deadline_seconds": self.deadline,
            "run_id": self.run_id,
            "stream": self.stream or None,
            "dimensions": self.dimensions,
            "metadata": _metadata(self.metadata or []) or None,
        }
        return given(fields)


@dataclass
class WayOptions:
    """Where the job may go, and what it may cost there."""

    panel: ClassVar[str] = "Where it may go"

    classification: Annotated[str | None, typer.Option(help="eu: EU deployments only.", show_default=False)] = None
    region: Annotated[str | None, typer.Option(show_default=False)] = None
    pin: Annotated[str | None, typer.Option(help="The one deployment to use.", show_default=False)] = None
    zero_retention: Annotated[
        bool, typer.Option("--zero-retention", help="Only go where the provider is declared to keep nothing.")
    ] = False
    max_cost: Annotated[str | None, typer.Option(help="USD for one attempt.", show_default=False)] = None
    service_tier: Annotated[
        Literal["auto", "standard", "flex", "priority"] | None,
        typer.Option(help="The provider's tier; auto: flex for what can wait, then standard.", show_default=False),
    ] = None

    def constraints(self) -> dict[str, Any]:
        """The constraints that were given."""
        constraints = {
            "classification": self.classification,
            "region": self.region,
            "pin": self.pin,
            "zero_retention": self.zero_retention or None,
            "max_cost_usd": self.max_cost,
            "service_tier": self.service_tier,
        }
        return given(constraints)


@dataclass
class TreatmentOptions:
    """What becomes of the job where something is in its way, and of its answer."""

    panel: ClassVar[str] = "What becomes of it"

    on_limit: Annotated[
        Literal["wait", "reject"] | None,
        typer.Option(help="Over a rate limit: wait, or be denied.", show_default="wait"),
    ] = None
    max_wait: Annotated[float | None, typer.Option(min=0, help="Seconds to wait for rate limits at most.")] = None
    private_data: Annotated[
        Literal["flag", "redact", "refuse"] | None,
        typer.Option(help="Secrets and personal data: at least flag, replace, or refuse.", show_default=False),
    ] = None
    restore_private_data: Annotated[
        bool, typer.Option("--restore", help="Put back into the answer what was replaced.")
    ] = False
    reuse: Annotated[bool, typer.Option("--reuse", help="The result of an earlier, equal request may answer it.")] = (
        False
    )
    repair: Annotated[
        Literal["none", "again", "explain"] | None,
        typer.Option(help="Where the answer does not fit: give up, ask again, or say why.", show_default="explain"),
    ] = None
    repair_model: Annotated[
        str | None,
        typer.Option(help="Who is told why: same, cheapest, a model, a deployment, an alias.", show_default="same"),
    ] = None
    coalesce: Annotated[
        Literal["never", "allow"] | None,
        typer.Option(
            help="allow: an equal job in flight answers it, too; never: an embedding gets a call of its own.",
            show_default=False,
        ),
    ] = None

    def constraints(self) -> dict[str, Any]:
        """The constraints that were given."""
        constraints = {
            "on_limit": self.on_limit,
            "max_wait_seconds": self.max_wait,
            "private_data": self.private_data,
            "restore_private_data": self.restore_private_data or None,
            "reuse": "allow" if self.reuse else None,
            "repair": self.repair,
            "repair_model": self.repair_model,
            "coalesce": self.coalesce,
        }
        return given(constraints)


def _metadata(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    if any(not equals for _, equals, _ in split):
        raise typer.BadParameter("--meta takes NAME=VALUE")
    return {name: value for name, _, value in split}
