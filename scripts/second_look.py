"""`python -m scripts.second_look DATA MODEL WORK`: trains the heads of the second look, judges them, writes them.

DATA is abuse.jsonl.gz, MODEL the folder of all-MiniLM-L6-v2 in ONNX, WORK a folder for what takes half an hour of a
core: the vectors of all texts, and the abuse model's scores of texts whose sources were left out. What is there is not
made again. Needs what `scripts.abuse_model` needs, and the extra deep-guard.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.encoders.build import Encoders
from pipelines.guard.abuse.model import HEADS, LINEAR
from pipelines.guard.second_look.transformer import COLUMNS, PROBE, DeepHeads
from scripts.abuse_model.__main__ import read
from scripts.abuse_model.judging import auc, recall
from scripts.abuse_model.train import (
    KINDS,
    NOISE,
    Array,
    Example,
    Floats,
    balance,
    fold_of_source,
    left_out,
    thresholds,
)
from scripts.weights_file import write

WEIGHTS = Path(__file__).resolve().parents[1] / "pipelines" / "guard" / "second_look" / "weights.npz"

FOLDS = 4
SHARE = 0.5
"""What the heads count beside the first look. From 0.3 to 0.8 the figures are the same within 0.01."""
ZONE = (-1.5, 1.0)
"""Wider ones send more prompts, and find no more."""
STRENGTH = 0.5

_PLENTY = 3_600.0
_BATCH = 1_024


def main() -> None:
    """Train, judge, and write."""
    parser = argparse.ArgumentParser(prog="python -m scripts.second_look", description=__doc__)
    for name in ("data", "model", "work"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    examples = read(arguments.data)
    encoder = Encoders().of(str(arguments.model))
    first = _kept(arguments.work / "first.npy", lambda: left_out(examples, FOLDS))
    vectors = _kept(arguments.work / "vectors.npy", lambda: _vectors(arguments.model, [e.text for e in examples]))
    [probe] = encoder.encode([PROBE], _PLENTY)
    second = _left_out(examples, vectors, first)
    limits = thresholds(examples, second)
    for name, above in _rules(first - thresholds(examples, first), second - limits).items():
        print(json.dumps({"rule": name, **_figures(examples, above)}))
    weights, bias = _heads(examples, vectors, np.arange(len(examples)))
    arrays = {"weights": weights.astype(np.float16), "bias": bias, "share": np.array(SHARE), "zone": np.array(ZONE)}
    write({**arrays, "thresholds": limits, "probe": np.asarray(probe, np.float16)}, WEIGHTS)


def _kept(file: Path, make: Callable[[], Array]) -> Array:
    if not file.exists():
        np.save(file, make())
    made: Array = np.load(file)
    return made


def _vectors(model: Path, texts: list[str]) -> Array:
    encoder = Encoders().of(str(model))
    rows = [row for at in range(0, len(texts), _BATCH) for row in encoder.encode(texts[at : at + _BATCH], _PLENTY)]
    return np.stack([row for row in rows if row is not None]).astype(np.float16)


def _heads(examples: list[Example], vectors: Array, use: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Weights and bias, a column for each of `COLUMNS`; trained on the examples of these places."""
    kinds = np.array([e.kind for e in examples])[use]
    labels = np.array([e.label == 1 for e in examples])[use]
    sources = np.array([e.source for e in examples])[use]
    rows, noise = vectors[use].astype(np.float64), np.isin(kinds, sorted(NOISE))
    found = []
    for column in COLUMNS:
        wanted = labels if column == "all" else np.isin(kinds, sorted(KINDS[column]))
        mine = ~noise if column == "all" else ~labels | wanted
        found.append(_logistic(rows[mine], wanted[mine], balance(sources[mine], wanted[mine])))
    stacked = np.stack(found, 1)
    return stacked[:-1].astype(np.float32), stacked[-1].astype(np.float32)


def _logistic(rows: Floats, wanted: Array, weights: Floats) -> Floats:
    """The weights, and last the bias."""
    from scipy.optimize import fmin_l_bfgs_b  # noqa: PLC0415 - training alone needs it

    sign = np.where(wanted, 1.0, -1.0)

    def loss(values: Floats) -> tuple[float, Floats]:
        margin = (rows @ values[:-1] + values[-1]) * sign
        slope = -weights * sign / (1 + np.exp(np.clip(margin, -50, 50)))
        total = (weights * np.logaddexp(0, -margin)).sum() + values[:-1] @ values[:-1] / (2 * STRENGTH)
        return float(total), np.concatenate([rows.T @ slope + values[:-1] / STRENGTH, [slope.sum()]])

    found: Floats = fmin_l_bfgs_b(loss, np.zeros(rows.shape[1] + 1), maxiter=200)[0]
    return found


def _left_out(examples: list[Example], vectors: Array, first: Floats) -> Floats:
    """The scores of the second look of each example, by heads that have seen nothing of its source."""
    fold_of = fold_of_source(examples, FOLDS)
    folds = np.array([fold_of[e.source] for e in examples])
    found = np.zeros_like(first)
    for fold in range(FOLDS):
        weights, bias = _heads(examples, vectors, np.flatnonzero(folds != fold))
        heads = DeepHeads(weights, bias, SHARE, np.zeros(len(HEADS) + 1), ZONE, weights[:, 0])
        mine = folds == fold
        found[mine] = heads.add(vectors[mine].astype(np.float32), first[mine])
    return found


def _rules(first: Floats, second: Floats) -> dict[str, Floats]:
    """How far each example is above the threshold that it reaches most: by one look, by two, and where it is unsure."""
    most = first.max(axis=1)
    unsure = (most >= ZONE[0]) & (most <= ZONE[1]) & (first[:, HEADS.index("noise")] <= 0)
    return {
        "first look": most,
        "second look at all": second.max(axis=1),
        "second look where unsure": np.where(unsure, second.max(axis=1), most),
        "unsure": np.where(unsure, 1.0, -1.0),
    }


def _figures(examples: list[Example], above: Floats) -> dict[str, float]:
    """The shares that are flagged; ROC-AUC, and the recall where 1 % of the harmless are flagged."""
    wanted = np.array([e.label == 1 for e in examples])
    scary = np.array([e.kind == "scary_safe" for e in examples])
    harmless = ~wanted & ~scary
    shares = {"harmless": harmless, "scary and safe": scary, "to be flagged": wanted}
    found = {name: float((above[mine] > 0).mean()) for name, mine in shares.items()}
    found |= {"auc": auc(above[wanted], above[harmless]), "recall_at_1": recall(above[wanted], above[harmless])}
    for head in LINEAR:
        found[head] = float((above[np.isin([e.kind for e in examples], sorted(KINDS[head]))] > 0).mean())
    return {name: round(value, 4) for name, value in found.items()}


if __name__ == "__main__":
    main()
