"""Traces as lines of JSON in a file, for log shippers and for looking at them with ordinary tools."""

import os
from collections.abc import Sequence
from pathlib import Path

import orjson

from pipelines.analyze.protocol import Answer, Trace, accepted
from synthralos.domain.exports import Destination


class JsonLinesExporter:
    """Appends each trace as one line; a shipment is accepted when it has reached the disk."""

    def __init__(self, path: Path, residency: str | None = None) -> None:
        """`path` is created with its folder when the first trace is shipped."""
        self.destination = Destination("jsonl", residency)
        self._path = path

    def ship(self, traces: Sequence[Trace]) -> Answer:
        """Append and sync; raises `OSError` where the disk refuses."""
        lines = b"".join(orjson.dumps(trace) + b"\n" for trace in traces)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(b"\n" + lines if lines and self._is_torn() else lines)
            file.flush()
            os.fsync(file.fileno())
        return accepted(traces)

    def _is_torn(self) -> bool:
        """Whether the last line was not finished: the disk was full, or the process was killed."""
        if not self._path.is_file() or not self._path.stat().st_size:
            return False
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def close(self) -> None:
        """Nothing is held open."""
