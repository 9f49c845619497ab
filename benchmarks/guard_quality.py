"""What the shipped models of the guards find on labeled rows: ROC-AUC, and what reaches the thresholds.

`GUARD_QUALITY_PAIRS` and `GUARD_QUALITY_ABUSE` name the files: JSON lines, perhaps gzipped, with the fields that
`scripts/pair_model` and `scripts/abuse_model` read. Without the first, the pairs of ../shared/data are judged, on which
nothing was trained. There is no such file for abuse: the shared rows trained its model, and would flatter it.
"""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.report import BenchmarkError, figure, say
from pipelines.guard.abuse.model import load_model
from pipelines.similarity.pairs import SAME_FROM, load_pair_model
from scripts.abuse_model.judging import auc, recall

SMOKE = 400
_BATCH = 64
_PAIRS = Path(__file__).resolve().parents[2] / "shared" / "data" / "guard" / "pairs.jsonl.gz"


def main(smoke: bool) -> None:
    """A kind of which there is no file is left out, and said so."""
    most = SMOKE if smoke else None
    pairs = _rows("pairs", "GUARD_QUALITY_PAIRS", _PAIRS, most)
    if pairs:
        model = load_pair_model()
        scores = np.array([model.score(row["a"], row["b"]) for row in pairs])
        _figures("pairs", scores, scores >= SAME_FROM, pairs)
    texts = _rows("abuse", "GUARD_QUALITY_ABUSE", None, most)
    if texts:
        _figures("abuse", *_abuse([row["text"] for row in texts]), texts)


def _rows(kind: str, variable: str, default: Path | None, most: int | None) -> list[dict[str, Any]]:
    named = os.environ.get(variable)
    path = Path(named) if named else default
    if named and path and not path.is_file():
        raise BenchmarkError(f"{variable} names {named}, which is no file")
    if path is None or not path.is_file():
        say(f"{kind}: skipped, there is no data; {variable} names a file of labeled rows")
        return []
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    step = max(1, len(rows) // most) if most else 1
    say(f"{kind}: {len(rows[::step]):,} rows of {path}")
    return rows[::step]


def _abuse(texts: Sequence[str]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The score over all kinds, and whether any threshold is reached."""
    model = load_model()
    parts = [model.score(list(texts[begin : begin + _BATCH])) for begin in range(0, len(texts), _BATCH)]
    scores = np.column_stack([np.concatenate([p.heads for p in parts]), np.concatenate([p.overall for p in parts])])
    return scores[:, -1], (scores > model.thresholds).any(axis=1)


def _figures(
    kind: str, scores: npt.NDArray[np.float64], reached: npt.NDArray[np.bool_], rows: Sequence[dict[str, Any]]
) -> None:
    wanted = np.array([row["label"] == 1 for row in rows])
    if wanted.all() or not wanted.any():
        raise BenchmarkError(f"{kind}: the rows have one label only")
    figure(f"{kind}_auc", auc(scores[wanted], scores[~wanted]), "share")
    figure(f"{kind}_recall_at_1", recall(scores[wanted], scores[~wanted]), "share")
    figure(f"{kind}_recall_at_threshold", float(reached[wanted].mean()), "share")
    figure(f"{kind}_false_positives_at_threshold", float(reached[~wanted].mean()), "share")
