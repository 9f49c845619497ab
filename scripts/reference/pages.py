"""All pages of the reference by their file names."""

import random
from pathlib import Path

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
    events = {path: schema for path, schema in found.items() if path.startswith("events/")}
    return {
        "api.md": api_page(found["openapi.json"]),
        "cli.md": cli_page(),
        "events.md": _events(events),
        "failures.md": _failures(),
        "metrics.md": _metrics(),
        "settings.md": _settings(),
    }


def _events(schemas: dict[str, dict[str, object]]) -> str:
    about = (
        "What happens to a job besides its spans, in `events` of a trace and in the stream of a job. "
        "The same for programs: `contracts/events/`, a closed JSON Schema each."
    )
    parts = []
    for schema in schemas.values():
        parts += [f"## {schema['title']}", str(schema.get("description", "")), members(schema)]
        parts += [members(inner) for inner in schema.get("$defs", {}).values() if "properties" in inner]  # type: ignore[attr-defined]  # JSON
    return page("Events", about, *parts)


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
