"""`python -m pipelines.route score --data two_models|nine_models FILE.jsonl`: one answer a line, in the file's order.

Of two models: what the strong one would gain for 100 tokens of its own; the higher, the more it is worth its price. Of
nine models: the name of the one to ask where quality is not to fall below that of the best single one.
"""

import argparse
import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TextIO

from pipelines.route.quality.choosing import best_exchange, costs_of
from pipelines.route.quality.model import QualityModel, gain_per_cost, load_quality_model, tokens
from pipelines.weights import WeightsError

_BATCH = 64
_MARK = "\ufeff"
"""What some editors put before UTF-8 text."""


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.route", description=__doc__)
    commands = parser.add_subparsers(required=True)
    score = commands.add_parser("score", help="score the prompts of a JSON-lines file")
    score.add_argument("--data", choices=("two_models", "nine_models"), required=True)
    score.add_argument("file", help="rows with a prompt, perhaps gzipped (.gz); - is standard input")
    arguments = parser.parse_args()
    answer = two_models if arguments.data == "two_models" else nine_models
    try:
        with _opened(arguments.file) as lines:
            for line in _answers(prompts(lines), answer):
                sys.stdout.write(f"{line}\n")
    except (OSError, EOFError, ValueError, WeightsError, zlib.error) as error:
        sys.stderr.write(f"pipelines.route: {error}\n")
        return 2
    return 0


def two_models(model: QualityModel, texts: list[str]) -> list[str]:
    """The gain of the strong model for 100 tokens of its own, of each text."""
    judged = model.judge(texts)
    return [f"{value:.6f}" for value in gain_per_cost(judged.gain, judged.output, texts).tolist()]


def nine_models(model: QualityModel, texts: list[str]) -> list[str]:
    """The name of the model to ask, of each text."""
    judged, nine = model.judge(texts), model.nine
    chosen = best_exchange(judged.kinds @ nine.quality, costs_of(tokens(texts), nine.prices), nine.exchange)
    chosen[~judged.familiar] = nine.best
    return [nine.names[number] for number in chosen.tolist()]


def prompts(lines: Iterable[str]) -> Iterator[str]:
    """The prompt of each line; empty lines are left out. Raises `ValueError` that names the line."""
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(_MARK) if number == 1 else line
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except RecursionError:
            raise ValueError(f"line {number} is nested too deeply") from None
        except ValueError as error:
            raise ValueError(f"line {number} is no JSON: {error}") from None
        prompt = row.get("prompt") if isinstance(row, dict) else None
        if not isinstance(prompt, str):
            raise ValueError(f'line {number} has no prompt: write {{"prompt": "the text"}}')
        yield prompt


def _answers(texts: Iterator[str], answer: Callable[[QualityModel, list[str]], list[str]]) -> Iterator[str]:
    model = load_quality_model()
    while batch := list(islice(texts, _BATCH)):
        yield from answer(model, batch)


def _opened(name: str) -> AbstractContextManager[TextIO]:
    if name == "-":
        return nullcontext(sys.stdin)
    return gzip.open(name, "rt", encoding="utf-8") if name.endswith(".gz") else open(name, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
