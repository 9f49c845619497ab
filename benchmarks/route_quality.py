"""What routing by quality saves at equal quality, judged on rows that neither the model nor the threshold has seen.

`ROUTE_QUALITY_DATA` names the folder with two_models.jsonl.gz, nine_models.jsonl.gz and nine_models_prices.json;
without it, ../shared/data/router is taken. The shipped weights have seen these rows and would flatter them, so the
benchmark trains anew for each fold (`scripts/quality_model`): minutes of CPU.

`saved_at` looks for the threshold on the rows that are judged; `trained` sets it on the other folds, and tells the
quality that it really had; `careful` sets it where new tasks are likely to have the quality. `unseen` leaves out whole
tasks.
"""

import os
from pathlib import Path

import numpy as np

from benchmarks.report import BenchmarkError, figure, say
from pipelines.route.quality.model import load_quality_model
from scripts.quality_model.data import Nine, Two, read_nine, read_two
from scripts.quality_model.judging import (
    Chosen,
    Inverses,
    by_length,
    curve,
    inverses,
    judge_nine,
    judge_two,
    mixing,
    outcome,
)

SMOKE_STEP = 12
SEEDS = (11, 12)
QUALITIES = (0.95, 0.99)
_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "router"
_FILES = ("two_models.jsonl.gz", "nine_models.jsonl.gz", "nine_models_prices.json")


def main(smoke: bool) -> None:
    """Two models, then nine; each at random and with whole tasks left out."""
    folder, step, seeds = _folder(), SMOKE_STEP if smoke else 1, SEEDS[:1] if smoke else SEEDS
    load_quality_model()
    two, nine = read_two(folder, step), read_nine(folder, step)
    say(f"{len(two.prompts):,} prompts of two models, {len(nine.prompts):,} of nine, in {folder}")
    for quality in QUALITIES:
        percent = round(100 * quality)
        figure(f"saved_at_{percent}_random_mixing", mixing(quality, two), "share")
        figure(f"saved_at_{percent}_length_alone", curve(by_length(two), two).at(quality)[0], "share")
    inverted = inverses(two)
    for prefix, whole_tasks in (("", False), ("unseen_", True)):
        _two(prefix, two, inverted, whole_tasks, seeds)
        _nine(prefix, nine, whole_tasks, seeds[:1] if whole_tasks else seeds)


def _folder() -> Path:
    folder = Path(os.environ.get("ROUTE_QUALITY_DATA") or _DATA)
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise BenchmarkError(
            f"{folder} has no {missing[0]}: ROUTE_QUALITY_DATA names a folder with {', '.join(_FILES)}"
        )
    return folder


def _two(prefix: str, rows: Two, inverted: Inverses, whole_tasks: bool, seeds: tuple[int, ...]) -> None:
    judged = [judge_two(rows, inverted, whole_tasks, seed, QUALITIES) for seed in seeds]
    for quality in QUALITIES:
        name = f"{prefix}saved_at_{round(100 * quality)}"
        figure(name, float(np.mean([curve(each.score, rows).at(quality)[0] for each in judged])), "share")
        _thresholds(f"{name}_trained", [each.plain[quality] for each in judged], rows)
        if whole_tasks:
            _thresholds(f"{name}_careful", [each.careful[quality] for each in judged], rows)


def _thresholds(name: str, asked: list[Chosen], rows: Two) -> None:
    saved, reached = np.mean([outcome(each, rows) for each in asked], axis=0)
    figure(name, float(saved), "share")
    figure(f"{name}_quality", float(reached), "share")


def _nine(prefix: str, rows: Nine, whole_tasks: bool, seeds: tuple[int, ...]) -> None:
    judged = [judge_nine(rows, whole_tasks, seed) for seed in seeds]
    for name, rule in (("nine", "exchange"), ("nine_within", "within")):
        saved, above = np.mean([each.outcome(getattr(each, rule), rows) for each in judged], axis=0)
        figure(f"{prefix}{name}_saved_at_100", float(saved), "share")
        figure(f"{prefix}{name}_quality_above_best", float(above), "share")
