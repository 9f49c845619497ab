"""Figures of scores: ROC-AUC, and the recall where one harmless text in a hundred is flagged."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipelines.guard.abuse.model import HEADS
from scripts.abuse_model.train import KINDS, NOISE, SHARE, Array, Example, Floats, thresholds

SLICES = {
    "all": (None, "all"),
    "injection and extraction": ({"injection", "extraction"}, "injection"),
    "hidden instructions": ({"indirect_injection"}, "hidden"),
    "jailbreak": ({"jailbreak", "jailbreak_code"}, "jailbreak"),
    "harmful": ({"harmful"}, "harm"),
    "harmful in other languages": ({"harmful_multilingual"}, "harm"),
    "spam": (KINDS["spam"], "spam"),
    "gibberish and repetition": (NOISE, "noise"),
}
"""Kinds that are to be found, and the head that is to find them."""


def figures(examples: Sequence[Example], scores: Floats) -> Iterator[dict[str, Any]]:
    """A line for each slice, by its own head and by all together; harmless texts are those that are called benign."""
    kinds = np.array([e.kind for e in examples])
    harmless = np.array([e.label == 0 and e.kind != "scary_safe" for e in examples])
    labels = np.array([e.label == 1 for e in examples])
    columns = {name: scores[:, i] for i, name in enumerate((*HEADS, "all"))}
    for name, (wanted, head) in SLICES.items():
        mine = labels if wanted is None else np.isin(kinds, sorted(wanted))
        for column in dict.fromkeys((head, "all")):
            values = columns[column]
            yield {
                "slice": name,
                "head": column,
                "auc": round(auc(values[mine], values[harmless]), 4),
                "recall_at_1": round(recall(values[mine], values[harmless]), 4),
            }
    limit = float(np.quantile(columns["all"][harmless], 1 - SHARE))
    scary = kinds == "scary_safe"
    yield {"slice": "scary and safe", "head": "all", "right": round(float((columns["all"][scary] < limit).mean()), 4)}


def flagged(examples: Sequence[Example], scores: Floats) -> dict[str, float]:
    """The share of harmless texts, of those that look dangerous, and of the others, that reach any threshold.

    The thresholds are those of the one half of the sources, carried over to the other.
    """
    half = np.array([zlib.crc32(e.source.encode()) % 2 for e in examples])
    reached = np.zeros(len(examples), bool)
    for side in (0, 1):
        others = np.flatnonzero(half != side)
        limits = thresholds([examples[i] for i in others], scores[others])
        reached[half == side] = (scores[half == side] > limits).any(axis=1)
    groups = {
        "harmless": [e.label == 0 and e.kind != "scary_safe" for e in examples],
        "scary and safe": [e.kind == "scary_safe" for e in examples],
        "to be flagged": [e.label == 1 for e in examples],
    }
    return {name: round(float(reached[np.array(mine)].mean()), 4) for name, mine in groups.items()}


def auc(positive: Array, negative: Array) -> float:
    """How often a positive is above a negative; ties count half."""
    ordered = np.sort(negative)
    below, upto = np.searchsorted(ordered, positive, "left"), np.searchsorted(ordered, positive, "right")
    return float((below + upto).mean() / 2 / len(negative))


def recall(positive: Array, negative: Array, share: float = SHARE) -> float:
    """The part of the positives above what `share` of the negatives reach."""
    return float((positive > np.quantile(negative, 1 - share)).mean())
