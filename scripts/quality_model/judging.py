"""What routing by quality saves, judged on rows that neither the model nor the threshold has seen."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.route.quality.choosing import best_exchange, cheapest_within
from pipelines.route.quality.model import KIND_SHARPNESS, gain_of, gain_per_cost, probabilities
from scripts.quality_model.bands import Bands, bands_of
from scripts.quality_model.data import Nine, Two
from scripts.quality_model.ridge import GAIN, KIND, Floats32, inverse, outside, predict, see, space_of
from synthralos.domain.quality import KINDS

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Chosen = npt.NDArray[np.bool_]

FOLDS, INNER = 5, 4
UNFAMILIAR = 0.2
"""The share of familiar prompts that may be held for unfamiliar."""

SHARE_OF_BANDS = 0.5
"""The share of a band's mean gain that is told by the band; the other half is left to the words."""

_ONE_IN_TEN = 1.2816
"""The standard errors below the mean that one of ten sets falls short of."""

_COST_WEIGHT = 0.35
"""A row counts 1 / cost to this power: what is cheap is decided by smaller differences."""
_SMOOTHING = 5.0
EXCHANGES = np.append(0.0, np.logspace(-5, -2, 61))
SACRIFICES = np.linspace(0, 0.3, 61)


def folds(tasks: npt.NDArray[np.str_], whole_tasks: bool, seed: int, count: int = FOLDS) -> Places:
    """The fold of each row: at random, or whole tasks into the smallest fold so far."""
    rng = np.random.default_rng(seed)
    if not whole_tasks:
        return np.asarray(rng.permutation(len(tasks)) % count)
    names, sizes = np.unique(tasks, return_counts=True)
    filled, fold = np.zeros(count), np.zeros(len(tasks), np.int64)
    for number in rng.permutation(len(names)):
        smallest = int(filled.argmin())
        fold[tasks == names[number]] = smallest
        filled[smallest] += sizes[number]
    return fold


class Curve(NamedTuple):
    """Prompts sent to the strong model one by one: the share of its cost saved and of its quality kept, the scores."""

    saved: Floats
    quality: Floats
    score: Floats

    def at(self, quality: float) -> tuple[float, float]:
        """(share saved, score from which the strong model is asked), at the first point of that quality."""
        reached = int(np.argmax(self.quality >= quality))
        return float(self.saved[reached]), float(self.score[reached])


def curve(score: Floats, rows: Two) -> Curve:
    """The curve of asking the strong model for the highest scores first."""
    order = np.argsort(-score, kind="stable")
    quality = rows.weak.sum() + np.append(0, np.cumsum((rows.strong - rows.weak)[order]))
    cost = rows.weak_cost.sum() + np.append(0, np.cumsum((rows.strong_cost - rows.weak_cost)[order]))
    scores = np.append(np.inf, score[order])
    return Curve(1 - cost / rows.strong_cost.sum(), quality / rows.strong.sum(), scores)


def mixing(quality: float, rows: Two) -> float:
    """The share of the cost that is saved at that quality by asking the strong model for random prompts."""
    weak, strong = rows.weak.sum(), rows.strong.sum()
    asked = np.clip((quality * strong - weak) / (strong - weak), 0, 1)
    return float((1 - asked) * (1 - rows.weak_cost.sum() / rows.strong_cost.sum()))


def by_length(rows: Two) -> Floats:
    """The rule that knows the length alone: short prompts to the strong model."""
    return np.array([-float(len(prompt)) for prompt in rows.prompts])


def cautious(score: Floats, rows: Two) -> Curve:
    """The curve with the quality that nine of ten such sets of tasks would have at least: a one-sided bound."""
    drawn, order = curve(score, rows), np.argsort(-score, kind="stable")
    of_task = np.unique(rows.tasks, return_inverse=True)[1]
    member = of_task[:, None] == np.arange(of_task.max() + 1)
    gained = np.cumsum((rows.strong - rows.weak)[order, None] * member[order], axis=0)
    kept = rows.weak @ member + np.vstack([np.zeros(member.shape[1]), gained])
    apart = kept - drawn.quality[:, None] * (rows.strong @ member)
    few = member.shape[1] / max(member.shape[1] - 1, 1)
    error = np.sqrt(few * (apart * apart).sum(1)) / rows.strong.sum()
    return drawn._replace(quality=drawn.quality - _ONE_IN_TEN * error)


def gain_weight(rows: Two) -> Floats:
    """How much each row counts for the gain."""
    weight: Floats = np.maximum(rows.strong_cost, 1) ** -_COST_WEIGHT
    return weight


def gain_targets(rows: Two, bands: Bands) -> Floats:
    """What of the gain is left to the words, and log of the output."""
    left = rows.strong - rows.weak - SHARE_OF_BANDS * bands.columns(rows.tasks) @ bands.gains
    return np.stack([left, np.log1p(rows.output)], 1)


class TwoJudged(NamedTuple):
    """`score` of each row from the other folds, and by quality which rows a threshold of theirs sends to the strong.

    `plain` has the threshold where they have that quality, `careful` the one where new tasks are likely to have it.
    """

    score: Floats
    plain: dict[float, Chosen]
    careful: dict[float, Chosen]


def outcome(asked: Chosen, rows: Two) -> tuple[float, float]:
    """(share of the cost saved, share of the strong model's quality) where it gets the rows `asked`."""
    cost = np.where(asked, rows.strong_cost, rows.weak_cost).sum() / rows.strong_cost.sum()
    return float(1 - cost), float(np.where(asked, rows.strong, rows.weak).sum() / rows.strong.sum())


class Inverses(NamedTuple):
    """Of all rows of two models: for gains, and for bands."""

    gain: Floats32
    band: Floats32


def inverses(rows: Two) -> Inverses:
    """What every division of the rows into folds is judged by."""
    seen = see(rows.prompts, space_of(rows.prompts))
    return Inverses(inverse(seen, GAIN, gain_weight(rows)), inverse(seen, KIND, np.ones(len(rows.prompts))))


def judge_two(
    rows: Two, inverted: Inverses, whole_tasks: bool, seed: int, qualities: tuple[float, ...] = (0.95, 0.99)
) -> TwoJudged:
    """Cross-validation, with one of its own in each training side to set the thresholds."""
    fold = folds(rows.tasks, whole_tasks, seed)
    score = np.zeros(len(fold))
    plain, careful = ({quality: np.zeros(len(fold), np.bool_) for quality in qualities} for _ in range(2))
    for number in np.unique(fold):
        known, asked = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        score[asked] = _scores(inverted, rows, known, asked)
        if not qualities:
            continue
        inner, own = folds(rows.tasks[known], whole_tasks, seed + 100, INNER), np.zeros(len(known))
        for part in np.unique(inner):
            own[inner == part] = _scores(inverted, rows, known[inner != part], known[inner == part])
        for drawn, strong in ((curve, plain), (cautious, careful)):
            found = drawn(own, rows.only(fold != number))
            for quality in qualities:
                strong[quality][asked] = score[asked] >= found.at(quality)[1]
    return TwoJudged(score, plain, careful)


def _scores(inverted: Inverses, rows: Two, known: Places, asked: Places) -> Floats:
    """The gain for its cost of the rows `asked`, by a model trained on those `known`."""
    bands = bands_of(rows.tasks[known], (rows.strong - rows.weak)[known])
    found = predict(inverted.gain, known, asked, gain_targets(rows, bands), gain_weight(rows))
    columns = bands.columns(rows.tasks)
    of_band = predict(inverted.band, known, asked, columns, np.ones(len(columns)))
    gain = gain_of(found[:, 0], of_band, SHARE_OF_BANDS * bands.gains)
    output = np.clip(np.expm1(found[:, 1]), 1, 400)
    return gain_per_cost(gain, output, [rows.prompts[number] for number in asked])


def kind_columns(rows: Nine) -> Floats:
    """A column for each of `KINDS`, 1 where the row is of it."""
    return (rows.kinds[:, None] == np.array(KINDS)).astype(np.float64)


def quality_by_kind(kinds: Floats, quality: Floats) -> Floats:
    """The mean quality of each model (column) by kind (row), drawn to the model's own mean where rows are few."""
    mean = quality.mean(0)
    table: Floats = (kinds.T @ quality + _SMOOTHING * mean) / (kinds.sum(0)[:, None] + _SMOOTHING)
    return table


class Limits(NamedTuple):
    """What the training side says: `exchange` and `give_up` at the best model's quality, and what is familiar."""

    exchange: float
    give_up: float
    familiar_from: float
    best: int


def limits(inverted: Floats32, rows: Nine, known: Places) -> Limits:
    """The limits of the rows `known`, by a cross-validation within them."""
    columns, quality, costs = kind_columns(rows), rows.quality[known], rows.costs[known]
    fold = folds(rows.tasks[known], False, 9, INNER)
    outputs = outside(inverted, known, fold, columns, np.ones(len(columns)))
    expected = np.zeros_like(quality)
    for number in range(INNER):
        inside = fold != number
        table = quality_by_kind(columns[known][inside], quality[inside])
        expected[~inside] = probabilities(outputs[~inside], KIND_SHARPNESS) @ table
    best = int(quality.mean(0).argmax())
    each, least = np.arange(len(known)), quality[:, best].mean()
    exchanges = [e for e in EXCHANGES if quality[each, best_exchange(expected, costs, e)].mean() >= least]
    given = [g for g in SACRIFICES if quality[each, cheapest_within(expected, costs, g)].mean() >= least]
    familiar_from = float(np.quantile(outputs.max(axis=1), UNFAMILIAR))
    return Limits(max(exchanges, default=0.0), max(given, default=0.0), familiar_from, best)


class NineJudged(NamedTuple):
    """The model of each row by the exchange and by the sacrifice, and the best of its training side."""

    exchange: Places
    within: Places
    best: Places

    def outcome(self, chosen: Places, rows: Nine) -> tuple[float, float]:
        """(share saved of the cost of the best single model, quality above that of the training side's best)."""
        each, overall = np.arange(len(chosen)), int(rows.quality.mean(0).argmax())
        saved = 1 - rows.costs[each, chosen].sum() / rows.costs[:, overall].sum()
        return float(saved), float((rows.quality[each, chosen] - rows.quality[each, self.best]).mean())


def judge_nine(rows: Nine, whole_tasks: bool, seed: int) -> NineJudged:
    """Cross-validation; with `whole_tasks` each task is left out by itself."""
    columns, ones = kind_columns(rows), np.ones(len(rows.prompts))
    inverted = inverse(see(rows.prompts, space_of(rows.prompts)), KIND, ones)
    fold = np.unique(rows.tasks, return_inverse=True)[1] if whole_tasks else folds(rows.tasks, False, seed)
    found = NineJudged(*(np.zeros(len(fold), np.int64) for _ in range(3)))
    for number in np.unique(fold):
        known, asked = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        limit = limits(inverted, rows, known)
        outputs = predict(inverted, known, asked, columns, ones)
        expected = probabilities(outputs, KIND_SHARPNESS) @ quality_by_kind(columns[known], rows.quality[known])
        strange = outputs.max(axis=1) < limit.familiar_from
        by_exchange = best_exchange(expected, rows.costs[asked], limit.exchange)
        within = cheapest_within(expected, rows.costs[asked], limit.give_up)
        found.exchange[asked] = np.where(strange, limit.best, by_exchange)
        found.within[asked] = np.where(strange, limit.best, within)
        found.best[asked] = limit.best
    return found
