"""`python -m pipelines.guard score --kind abuse|pairs FILE.jsonl`: one score a line, in the order of the file."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from pipelines.guard.abuse.model import load_model
from pipelines.similarity.pairs import load_pair_model
from pipelines.weights import WeightsError

_BATCH = 64


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.guard", description=__doc__)
    commands = parser.add_subparsers(required=True)
    score = commands.add_parser("score", help="score the rows of a JSON-lines file")
    score.add_argument("--kind", choices=("abuse", "pairs"), required=True)
    score.add_argument("file", help="rows with text (abuse), or with a and b (pairs); - is standard input")
    arguments = parser.parse_args()
    scores = _abuse if arguments.kind == "abuse" else _pairs
    try:
        with sys.stdin if arguments.file == "-" else open(arguments.file, encoding="utf-8") as lines:
            for value in scores(_rows(lines)):
                sys.stdout.write(f"{value:.5f}\n")
    except (OSError, ValueError, WeightsError) as error:
        sys.stderr.write(f"pipelines.guard: {error}\n")
        return 2
    return 0


def _rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} is no JSON: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is no JSON object")
        yield row


def _abuse(rows: Iterator[dict[str, Any]]) -> Iterator[float]:
    """Log-odds, over all heads."""
    model = load_model()
    while batch := list(islice(rows, _BATCH)):
        yield from model.score([_text(row, "text") for row in batch]).overall.tolist()


def _pairs(rows: Iterator[dict[str, Any]]) -> Iterator[float]:
    """From 0 to 1: from 0.5 on the same prompt."""
    model = load_pair_model()
    for row in rows:
        yield model.score(_text(row, "a"), _text(row, "b"))


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise ValueError(f"a row has no text in {name!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
