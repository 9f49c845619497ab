"""`python -m scripts.quality_model train|picture DATA`: makes the weights of the quality model, or the curve in docs.

DATA is a folder with two_models.jsonl.gz, nine_models.jsonl.gz and nine_models_prices.json. What the model saves is
judged by `python -m benchmarks route_quality`.
"""

import argparse
from pathlib import Path

from scripts.quality_model.data import read_nine, read_two
from scripts.quality_model.picture import draw
from scripts.quality_model.train import train
from scripts.weights_file import write

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "pipelines" / "route" / "quality" / "weights.npz"
PICTURE = ROOT / "docs" / "quality_routing.svg"


def main() -> None:
    """Train and write, or draw."""
    parser = argparse.ArgumentParser(prog="python -m scripts.quality_model", description=__doc__)
    parser.add_argument("what", choices=("train", "picture"))
    parser.add_argument("data", type=Path, help="the folder with the rows")
    arguments = parser.parse_args()
    two = read_two(arguments.data)
    if arguments.what == "train":
        write(train(two, read_nine(arguments.data)), WEIGHTS)
    else:
        PICTURE.write_text(draw(two), encoding="utf-8")


if __name__ == "__main__":
    main()
