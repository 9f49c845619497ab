"""The exporters that the settings ask for: one line each."""

from collections.abc import Callable

from pipelines.analyze.exporters.jsonl import JsonLinesExporter
from pipelines.analyze.protocol import Exporter
from synthralos.config.settings import Settings


def _jsonl(settings: Settings) -> Exporter | None:
    path = settings.trace_export_file
    return None if path is None else JsonLinesExporter(path, settings.trace_export_residency)


EXPORTERS: tuple[Callable[[Settings], Exporter | None], ...] = (_jsonl,)
"""Each makes its exporter, or None where the settings do not ask for it."""


def build_exporters(settings: Settings) -> dict[str, Exporter]:
    """The configured exporters by destination."""
    made = (factory(settings) for factory in EXPORTERS)
    return {exporter.destination.name: exporter for exporter in made if exporter is not None}
