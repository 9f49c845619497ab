"""The rows that the quality model is trained on and judged by."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.route.quality.choosing import OUTPUT_TOKENS

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.str_]

STRONG_PRICE, WEAK_PRICE = 24.7, 0.24
"""USD per million tokens, in and out, of the two models."""

_OUTPUT_UNKNOWN = 107
"""Tokens of the strong model's mean answer that is longer than a letter, where a row does not say it."""

KIND_OF_TASK = {
    "agentverse-logicgrid": "logic_puzzles",
    "agentverse-mgsm": "word_problems",
    "gsm8k": "word_problems",
    "commongen": "sentence_writing",
    "natural_qa": "search_questions",
    "trivia_qa": "trivia",
    "mmlu": "exam_questions",
    "arc_challenge": "science_questions",
    "human_eval": "code",
    "math": "hard_math",
}


class Two(NamedTuple):
    """Prompts that a strong and a weak model answered. Quality from 0 to 1; costs in USD per million."""

    prompts: list[str]
    tasks: Texts
    strong: Floats
    weak: Floats
    strong_cost: Floats
    weak_cost: Floats
    output: Floats

    def only(self, chosen: npt.NDArray[np.bool_]) -> "Two":
        """The rows chosen."""
        prompts = [prompt for prompt, wanted in zip(self.prompts, chosen, strict=True) if wanted]
        return Two(prompts, *(column[chosen] for column in self[1:]))


class Nine(NamedTuple):
    """Prompts that nine models answered: `quality` and `costs` (USD per million) have a column a model."""

    prompts: list[str]
    tasks: Texts
    kinds: Texts
    names: list[str]
    prices: Floats
    quality: Floats
    costs: Floats


def read_two(folder: Path, step: int = 1) -> Two:
    """Every `step`-th row of two_models.jsonl.gz."""
    rows = list(_rows(folder / "two_models.jsonl.gz"))[::step]
    tasks = np.array(["mt_bench" if row["task"].startswith("mt_bench") else row["task"] for row in rows])
    tokens, strong_out, weak_out, strong, weak = (
        np.array([_number(row[name], unknown) for row in rows])
        for name, unknown in (
            ("in_tok", 0), ("strong_out_tok", _OUTPUT_UNKNOWN), ("weak_out_tok", 0), ("strong", 0), ("weak", 0),
        )
    )  # fmt: skip
    strong_cost, weak_cost = (tokens + strong_out) * STRONG_PRICE, (tokens + weak_out) * WEAK_PRICE
    return Two([row["prompt"] for row in rows], tasks, strong, weak, strong_cost, weak_cost, strong_out)


def read_nine(folder: Path, step: int = 1) -> Nine:
    """Every `step`-th row of nine_models.jsonl.gz, with the prices beside it."""
    rows = list(_rows(folder / "nine_models.jsonl.gz"))[::step]
    priced = json.loads((folder / "nine_models_prices.json").read_text())
    names = list(rows[0]["scores"])
    prices = np.array([priced[name] for name in names], np.float64)
    quality = np.array([[row["scores"][name] for name in names] for row in rows], np.float64)
    tokens = np.array([row["in_tok"] for row in rows], np.float64)
    costs = tokens[:, None] * prices[None, :, 0] + OUTPUT_TOKENS * prices[None, :, 1]
    tasks = [row["task"] for row in rows]
    kinds = np.array([KIND_OF_TASK[task] for task in tasks])
    return Nine([row["prompt"] for row in rows], np.array(tasks), kinds, names, prices, quality, costs)


def _number(value: float | None, unknown: float) -> float:
    return unknown if value is None else value


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
