"""All pages of the reference by their file names."""

import random
from pathlib import Path
from typing import Any

from pipelines.heal.table import build_remedies
from scripts.contracts import contracts
from scripts.reference.api import api_page
from scripts.reference.cli import cli_page
from scripts.reference.markdown import page, table
from scripts.reference.schemas import members
from synthralos.config.catalog import load_catalog
from synthralos.config.settings import Settings
from synthralos.domain.failures import MAYBE_BILLED, MEANINGS
from synthralos.telemetry.families import FAMILIES

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"


def pages() -> dict[str, str]:
    """What the pages have to say, by file name."""
    found = contracts()
    return {
        "api.md": api_page(found["openapi.json"]),
        "cli.md": cli_page(),
        "events.md": _kinds("Events", _ABOUT_EVENTS, found, "events/"),
        "failures.md": _failures(),
        "metrics.md": _metrics(),
        "rudderstack.md": _kinds("Events for RudderStack", _ABOUT_RUDDERSTACK, found, "rudderstack/"),
        "settings.md": _settings(),
    }


_ABOUT_EVENTS = (
    "What happens to a job besides its spans, in `events` of a trace and in the stream of a job. "
    "The same for programs: `contracts/events/`, a closed JSON Schema each."
)
_ABOUT_RUDDERSTACK = (
    "What is exported to RudderStack ([rudderstack.md](../rudderstack.md)): `identify` with its traits, and `track` "
    "events with their properties. The same for programs: `contracts/rudderstack/`, a closed JSON Schema each. "
    "Properties may be added, and none is renamed."
)


def _kinds(title: str, about: str, contracts: dict[str, dict[str, Any]], folder: str) -> str:
    """A page of the closed schemas in a folder of the contracts."""
    parts: list[str] = []
    for schema in (schema for path, schema in contracts.items() if path.startswith(folder)):
        parts += [f"## {schema['title']}", str(schema.get("description", "")), members(schema)]
        parts += [members(inner) for inner in schema.get("$defs", {}).values() if "properties" in inner]
    return page(title, about, *parts)


def _failures() -> str:
    about = (
        "Every failed attempt, and every job that ends as failed, has one of these classes (`failure.class`). Heal "
        "tries the remedies in their order, within `constraints.max_attempts` and the deadline; the last one gives up, "
        "and the job is a dead letter."
    )
    remedies = build_remedies(random.Random(0), load_catalog(None))
    rows = [
        [f"`{kind}`", MEANINGS[kind], "maybe" if kind in MAYBE_BILLED else "no, unless the provider says so",
         ", then ".join(f"`{remedy.name}`" for remedy in remedies[kind])]
        for kind in MEANINGS
    ]  # fmt: skip
    return page("Failures", about, table(["class", "what happened", "billed", "remedies"], rows))


def _metrics() -> str:
    about = (
        "Of every process, for Prometheus: at `/metrics` of the API with a key, or on `METRICS_PORT`. What is shown by "
        "the leader alone is about the whole installation."
    )
    rows = [[f"`{f.name}`", f.kind, ", ".join(f.labels), f.shown_by, f.meaning] for f in FAMILIES]
    return page("Metrics", about, table(["metric", "kind", "labels", "shown by", "what"], rows))


def _settings() -> str:
    about = (
        "Environment variables, read once when a process starts; an empty one counts as not set. A wrong setting stops "
        "the start with a line that says which and why. Deployments of the catalog name the variables of their keys "
        "besides."
    )
    rows = [
        [f"`{name.upper()}`", "" if field.default is None else f"`{_shown(field.default)}`", field.description or ""]
        for name, field in Settings.model_fields.items()
    ]
    return page("Settings", about, table(["variable", "default", "what"], rows))


def _shown(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)
