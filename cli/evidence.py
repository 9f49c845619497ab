"""A job's evidence for people: the conclusion, then a line for each call, then what sent it there."""

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cli.tables import Column, Listing
from cli.texts import one_line

_CALLS = (
    Column("call", right=True),
    Column("deployment"),
    Column("residency"),
    Column("outcome"),
    Column("demanded"),
    Column("kept"),
    Column("sent there by"),
    Column("because"),
)
_RULES = (Column("call", right=True), Column("guard or rule"), Column("version", right=True), Column("said"))
_STYLES = {True: "green", False: "red", None: "yellow"}


def evidence_parts(found: dict[str, Any]) -> list[RenderableType | Listing]:
    """What is shown of it."""
    conclusion, data = found["conclusion"], found["classification"]
    parts: list[RenderableType | Listing] = [Text(one_line(conclusion["text"]), _STYLES[conclusion["holds"]])]
    if data["value"] is not None:
        bound = data["required_residency"]
        where = "bound to no residency" if bound is None else f"bound to residency {bound}"
        parts.append(Text(f"data classified {one_line(data['value'])} by {data['source']}, {where}"))
    if found["calls"]:
        parts.append(Listing(_CALLS, [_call(call) for call in found["calls"]]))
    rules = [row for call in found["calls"] for row in _said(call)]
    return [*parts, Listing(_RULES, rules)] if rules else parts


def _call(call: dict[str, Any]) -> list[str]:
    because, grounds = call["because"], call["grounds"]
    by, why = ("plan", _first(grounds)) if because is None else (because["by"], _why(because))
    return [
        str(call["attempt_no"]),
        one_line(call["deployment"]),
        one_line(call["residency"] or ("?" if grounds is None else "none declared")),
        call["outcome"],
        _demanded(grounds),
        {True: "yes", None: "?"}.get(call["kept"], one_line("; ".join(call["broken"]))),
        by,
        one_line(why),
    ]


def _first(grounds: dict[str, Any] | None) -> str:
    step = None if grounds is None else grounds["step"]
    return "" if step is None else str(step["reason"])


def _why(act: dict[str, Any]) -> str:
    return f"{act['kind']}: {act['reason']}" if act["reason"] else str(act["kind"])


def _demanded(grounds: dict[str, Any] | None) -> str:
    if grounds is None:
        return "?"
    residency, region, regions = (
        grounds["required_residency"],
        grounds["region"],
        (grounds["demands"] or {}).get("regions"),
    )
    wanted = [f"residency {residency}"] if residency else []
    wanted += [f"region {region}"] if region else []
    wanted += [f"regions {', '.join(regions)}"] if regions else []
    wanted += ["zero retention"] if grounds["zero_retention"] else []
    return one_line(", ".join(wanted)) or "nothing"


def _said(call: dict[str, Any]) -> list[list[str]]:
    said = [] if call["grounds"] is None else call["grounds"]["said"]
    return [
        [
            str(call["attempt_no"]),
            one_line(each["guard"] if each["rule"] is None else f"{each['set_name']}: {each['rule']}"),
            "" if each["version"] is None else str(each["version"]),
            f"{each['decision']}{' (shadow)' if each['shadow'] else ''}",
        ]
        for each in said
    ]
