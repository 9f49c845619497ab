"""`python -m scripts.abuse_model DATA`: trains the abuse model on DATA (abuse.jsonl.gz), and writes its weights.

Needs scipy and lightgbm: `pip install scipy lightgbm`. With `--judge`, sources are left out in folds, and the figures
of each head are printed; the thresholds are made of these scores, so without it the ones that are there stay.
"""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

from pipelines.guard.abuse.model import HEADS, load_model
from scripts.abuse_model.judging import figures, flagged
from scripts.abuse_model.train import Example, left_out, thresholds, train, with_own_texts
from scripts.weights_file import write

WEIGHTS = Path(__file__).resolve().parents[2] / "pipelines" / "guard" / "abuse" / "weights.npz"


def main() -> None:
    """Train, and write."""
    parser = argparse.ArgumentParser(prog="python -m scripts.abuse_model", description=__doc__)
    parser.add_argument("data", type=Path, help="abuse.jsonl.gz: a JSON object with text, label, kind, source a line")
    parser.add_argument("--judge", type=int, metavar="FOLDS", help="leave sources out in so many folds, and judge")
    arguments = parser.parse_args()
    examples = read(arguments.data)
    if arguments.judge:
        scores = left_out(examples, arguments.judge)
        for line in figures(examples, scores):
            print(json.dumps(line))
        limits = thresholds(examples, scores)
        print(json.dumps({"flagged": flagged(examples, scores)}))
    else:
        limits = load_model().thresholds
    print(json.dumps({"thresholds": dict(zip((*HEADS, "all"), np.round(limits, 3).tolist(), strict=True))}))
    write({**train(with_own_texts(examples)), "thresholds": limits}, WEIGHTS)


def read(path: Path) -> list[Example]:
    """The examples; sources that are made of one another count as one."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Example(row["text"], row["kind"], row["label"], _source(row["source"])) for row in rows]


def _source(name: str) -> str:
    return next((group for group in ("own strings", "BIPIA") if group in name), name)


if __name__ == "__main__":
    main()
