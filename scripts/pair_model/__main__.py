"""`python -m scripts.pair_model DATA`: trains the pair model, judges it, and writes its weights.

DATA is a folder with abuse.jsonl.gz, whose prompts are edited to make the training pairs, and pairs.jsonl.gz, pairs of
other people by which the model is judged. None of these pairs is trained on, nor any prompt that is in them: each of
their sources is left out. They set the threshold. Needs scipy: `pip install scipy`.
"""

import argparse
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scripts.abuse_model.judging import auc, recall
from scripts.pair_model.texts import Pair, Text, own_pairs
from scripts.pair_model.train import Floats, features_of, fit, odds, rarities, threshold
from scripts.weights_file import write

WEIGHTS = Path(__file__).resolve().parents[2] / "pipelines" / "similarity" / "weights.npz"
_NO_PROMPTS = {"gibberish", "repetition", "adv_suffix", "spam"}
_SHORTEST, _LONGEST = 15, 700
SLICES = {
    "all": ("", ""),
    "edits of prompts": ("edit", "neighbour"),
    "corrected speech": ("disfl_qa", "disfl_qa_neighbour"),
    "attacked prompts": ("promptbench", "promptbench_other_task"),
}
"""Kinds of the same and of different prompts, by their beginnings."""


def main() -> None:
    """Train, judge and write."""
    parser = argparse.ArgumentParser(prog="python -m scripts.pair_model", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with abuse.jsonl.gz and pairs.jsonl.gz")
    folder = parser.parse_args().data
    foreign = read_pairs(folder / "pairs.jsonl.gz")
    known = {text for pair in foreign for text in (pair.one, pair.other)}
    prompts = [row for row in rows(folder / "abuse.jsonl.gz") if row["text"] not in known]
    texts = [Text(row["text"], row["source"]) for row in prompts if _is_prompt(row)]
    rarity = rarities(row["text"] for row in prompts)
    own = own_pairs(texts)
    arrays = fit(features_of(own, rarity.tobytes()), np.array([pair.label for pair in own]))
    scores = odds(arrays, features_of(foreign, rarity.tobytes()))
    different = [i for i, pair in enumerate(foreign) if not pair.label]
    limit = threshold(scores[different], [foreign[i].source for i in different])
    for line in figures(foreign, scores, limit):
        print(json.dumps(line))
    write({**arrays, "rarity": rarity, "threshold": np.float64(limit)}, WEIGHTS)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file with a, b, label, kind and source a row."""
    return [Pair(row["a"], row["b"], row["label"], row["kind"], row["source"]) for row in rows(path)]


def _is_prompt(row: dict[str, Any]) -> bool:
    return row["kind"] not in _NO_PROMPTS and _SHORTEST < len(row["text"]) < _LONGEST


def figures(pairs: Sequence[Pair], scores: Floats, limit: float) -> Iterator[dict[str, Any]]:
    """A line for each slice, and one for each kind: the share of it that is called the same."""
    labels, kinds = np.array([pair.label for pair in pairs]), np.array([pair.kind for pair in pairs])
    for name, (same, other) in SLICES.items():
        positive = scores[(labels == 1) & np.char.startswith(kinds, same)]
        negative = scores[(labels == 0) & np.char.startswith(kinds, other)]
        yield {
            "slice": name,
            "auc": round(auc(positive, negative), 4),
            "recall_at_1": round(recall(positive, negative), 4),
            "recall_at_threshold": round(float((positive >= limit).mean()), 4),
            "false_positives_at_threshold": round(float((negative >= limit).mean()), 4),
        }
    shares = {str(kind): round(float((scores[kinds == kind] >= limit).mean()), 3) for kind in np.unique(kinds)}
    yield {"called_the_same": shares}


if __name__ == "__main__":
    main()
