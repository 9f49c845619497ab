"""The exporters that the settings ask for: one line each."""

from collections.abc import Callable
from importlib import metadata

from pipelines.analyze.exporters.jsonl import JsonLinesExporter
from pipelines.analyze.exporters.rudderstack.exporter import Account, RudderStackExporter
from pipelines.analyze.protocol import Exporter
from synthralos.config.settings import Settings


def _jsonl(settings: Settings) -> Exporter | None:
    path = settings.trace_export_file
    return None if path is None else JsonLinesExporter(path, settings.trace_export_residency)


def _rudderstack(settings: Settings) -> Exporter | None:
    key, url = settings.rudderstack_write_key, settings.rudderstack_data_plane_url
    if key is None or url is None:
        return None
    residency, batch = settings.rudderstack_residency, settings.rudderstack_batch_size
    account = Account(url, key.get_secret_value(), residency, batch, settings.rudderstack_content)
    return RudderStackExporter(account, metadata.version("synthralos"))


EXPORTERS: tuple[Callable[[Settings], Exporter | None], ...] = (_jsonl, _rudderstack)
"""Each makes its exporter, or None where the settings do not ask for it."""


def build_exporters(settings: Settings) -> dict[str, Exporter]:
    """The configured exporters by destination."""
    made = (factory(settings) for factory in EXPORTERS)
    return {exporter.destination.name: exporter for exporter in made if exporter is not None}
