"""`make contracts` writes `contracts/`: the OpenAPI document, and a JSON Schema for each event, happening and trigger.

What programs outside of this repository rely on is read from there; `tests/unit/test_contracts.py` holds it current.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from api.app import build_app
from pipelines.providers.table import check_deployment
from synthralos.config.settings import Settings
from synthralos.core import build_core
from synthralos.domain.events import EVENTS
from synthralos.domain.feed_types import FEED_TYPES, FeedEvent
from synthralos.domain.happenings import HAPPENINGS
from synthralos.domain.triggers import TRIGGERS

FOLDER = Path(__file__).resolve().parents[1] / "contracts"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def contracts() -> dict[str, dict[str, Any]]:
    """Every contract by its path within the folder."""
    core = build_core(
        Settings(database_url="sqlite:///:contracts:", broker_url="memory://", catalog_file=None), check_deployment
    )
    try:
        found: dict[str, dict[str, Any]] = {"openapi.json": build_app(core).openapi()}
    finally:
        core.close()
    kinds: dict[str, Mapping[str, type[BaseModel]]] = {
        "events": EVENTS,
        "happenings": HAPPENINGS,
        "feed": {"event": FeedEvent, **FEED_TYPES},
        "triggers": TRIGGERS,
    }
    for folder, models in kinds.items():
        for kind, model in models.items():
            schema = model.model_json_schema(by_alias=True)
            found[f"{folder}/{kind}.schema.json"] = {"$schema": _DIALECT, **schema, "title": kind}
    return found


def text_of(document: dict[str, Any]) -> str:
    """A contract as it is written: sorted, so that a change shows as what changed."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all of them, and remove what is one no more."""
    written = contracts()
    for old in FOLDER.rglob("*.json"):
        if str(old.relative_to(FOLDER)) not in written:
            old.unlink()
    for path, document in written.items():
        target = FOLDER / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text_of(document), encoding="utf-8")


if __name__ == "__main__":
    main()
