"""Training: linear heads on hashed n-grams, and boosted trees on statistics for noise. Needs scipy and lightgbm."""

import random
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.guard.abuse.model import COLUMNS, HEADS, AbuseModel, model_of
from pipelines.guard.abuse.ngrams import BUCKETS, grams
from pipelines.guard.abuse.noise import (
    NAMES,
    PAIR_BITS,
    STEP,
    TRIPLE_BITS,
    WORD_BITS,
    CharacterModel,
    character_hashes,
    measured,
    statistics,
    word_place,
)
from pipelines.guard.abuse.normalize import normalize
from pipelines.guard.abuse.patterns import RARITY_STEP
from pipelines.guard.abuse.trees import DEPTH
from scripts.abuse_model.texts import own_texts

KINDS = {
    "injection": {"injection", "extraction"},
    "jailbreak": {"jailbreak", "jailbreak_code", "adv_suffix"},
    "harm": {"harmful", "harmful_multilingual", "adv_suffix"},
    "spam": {"spam"},
    "window": {"injection", "extraction", "indirect_injection"},
}
"""What each linear head is to find. A long text that hides an instruction teaches the head of whole texts nothing but
what documents look like; it is for the head of windows."""

NOISE = {"gibberish", "repetition"}
SHARE = 0.01
"""Harmless texts of unseen sources that may be flagged: all kinds together, and half as many by the score over all."""
HEAD_SHARE, ALL_SHARE = SHARE / len(HEADS), SHARE / 2
NOISE_SHARE = 0.4 * HEAD_SHARE
"""Noise is told apart best: it needs no more, and logs and encoded data are near it."""

_BATCH = 64

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Example:
    """A text of some source, its kind, and whether it is to be flagged."""

    text: str
    kind: str
    label: int
    source: str


def with_own_texts(examples: Sequence[Example], seed: int = 7) -> list[Example]:
    """The examples, and texts of our own beside them."""
    common = Counter(w for e in examples for w in set(e.text.lower().split()) if w.isalpha() and w.isascii())
    words = [word for word, _ in common.most_common(900)][30:]
    documents = [e.text for e in examples if e.kind in ("benign_document", "benign_code") and len(e.text) > 700]
    own = own_texts(seed, words, documents)
    return [*examples, *(Example(row.text, row.kind, row.label, f"own {row.kind}") for row in own)]


def train(examples: Sequence[Example]) -> dict[str, Array]:
    """The arrays of a model; its thresholds are still zero."""
    kinds = np.array([e.kind for e in examples])
    labels = np.array([e.label for e in examples])
    sources = np.array([e.source for e in examples])
    return {
        **_linear_heads(examples, kinds, labels, sources),
        **_noise_head(examples, kinds, sources),
        "thresholds": np.zeros(len(HEADS) + 1),
    }


def _linear_heads(examples: Sequence[Example], kinds: Array, labels: Array, sources: Array) -> dict[str, Array]:
    matrix = _matrix([e.text for e in examples])
    rarity = _rarity(matrix[labels == 0])
    noise = np.isin(kinds, sorted(NOISE))
    columns, bias = [], []
    for head in COLUMNS:
        wanted = labels == 1 if head == "all" else np.isin(kinds, sorted(KINDS[head]))
        use = np.flatnonzero(~noise if head == "all" else (labels == 0) | wanted)
        weights, offset = _logistic(matrix[use], wanted[use], balance(sources[use], wanted[use]))
        columns.append(weights)
        bias.append(offset)
    stacked = np.stack(columns, 1)
    scale = np.abs(stacked).max(0) / 127 * 0.5  # half the largest weight is the most: finer steps for the others
    quantized = np.round(stacked / scale).clip(-127, 127).astype(np.int8)
    return {
        "weights": quantized,
        "scale": scale.astype(np.float32),
        "bias": np.array(bias, np.float32),
        "rarity": rarity,
    }


def _matrix(texts: Sequence[str]) -> Any:
    """A row a text: its distinct buckets, scaled to length one."""
    from scipy import sparse  # noqa: PLC0415 - training alone needs it

    found: list[npt.NDArray[np.int64]] = []
    for begin in range(0, len(texts), _BATCH):
        found += grams([normalize(text) for text in texts[begin : begin + _BATCH]]).distinct()
    edges = np.concatenate([[0], np.cumsum([len(each) for each in found])])
    values = np.concatenate([np.full(len(each), max(len(each), 1) ** -0.5, np.float32) for each in found])
    return sparse.csr_matrix((values, np.concatenate(found), edges), shape=(len(texts), BUCKETS))


def _rarity(rows: Any) -> npt.NDArray[np.int8]:
    """How rare each bucket is among harmless texts; see `pipelines.guard.abuse.patterns`."""
    having = np.bincount(rows.indices, minlength=BUCKETS)
    return np.round(RARITY_STEP * np.log((rows.shape[0] + 1) / (having + 1))).clip(0, 127).astype(np.int8)


def balance(sources: Array, wanted: Array) -> Floats:
    """A row weighs the square root of 1/(rows of its source and label); both labels weigh the same together."""
    pairs = list(zip(sources.tolist(), wanted.tolist(), strict=True))
    counts = Counter(pairs)
    weights = np.array([counts[pair] ** -0.5 for pair in pairs])
    for value in (False, True):
        mine = wanted == value
        weights[mine] *= len(wanted) / 2 / weights[mine].sum()
    return weights


def _logistic(rows: Any, wanted: Array, weights: Floats, strength: float = 10.0) -> tuple[Floats, float]:
    from scipy.optimize import fmin_l_bfgs_b  # noqa: PLC0415 - training alone needs it

    columns, sign, each = rows.T.tocsr(), np.where(wanted, 1, -1).astype(np.float32), weights.astype(np.float32)

    def loss(values: Floats) -> tuple[float, Floats]:
        vector = values.astype(np.float32)
        margin = (rows @ vector[:-1] + vector[-1]) * sign
        small = np.exp(-np.abs(margin))
        slope = -each * sign * np.where(margin > 0, small / (1 + small), 1 / (1 + small))
        total = (each * (np.log1p(small) + np.maximum(-margin, 0))).sum(dtype=np.float64)
        gradient = np.concatenate([columns @ slope + vector[:-1] / strength, [slope.sum()]]).astype(np.float64)
        return float(total + values[:-1] @ values[:-1] / (2 * strength)), gradient

    found = fmin_l_bfgs_b(loss, np.zeros(rows.shape[1] + 1), maxiter=40, factr=1e9)[0]
    return found[:-1], float(found[-1])


def _noise_head(examples: Sequence[Example], kinds: Array, sources: Array) -> dict[str, Array]:
    noisy = np.isin(kinds, sorted(NOISE))
    clean = [e.text for e, noise in zip(examples, noisy, strict=True) if not noise]
    characters = _character_model(clean)
    # A text is measured by a model that has not read it: else what was read looks too familiar.
    half = np.array([zlib.crc32(source.encode()) % 2 for source in sources])
    rows = np.zeros((len(examples), len(NAMES)))
    for side in (0, 1):
        others = [e.text for e, noise, mine in zip(examples, noisy, half, strict=True) if not noise and mine != side]
        model = _as_model(_character_model(others))
        mine = np.flatnonzero(half == side)
        for begin in range(0, len(mine), _BATCH):
            each = mine[begin : begin + _BATCH]
            rows[each] = statistics([examples[i].text for i in each], model)
    keep = kinds != "adv_suffix"
    trees = _boosted(rows[keep], noisy[keep], balance(sources[keep], noisy[keep]))
    return {**characters, **trees}


def _as_model(arrays: dict[str, Array]) -> CharacterModel:
    return CharacterModel(arrays["pairs"], arrays["triples"], np.unpackbits(arrays["words"]).astype(bool))


def _character_model(texts: Sequence[str]) -> dict[str, Array]:
    pairs, triples, seen = np.zeros(1 << PAIR_BITS), np.zeros(1 << TRIPLE_BITS), np.zeros(1 << WORD_BITS)
    for begin in range(0, len(texts), _BATCH):
        read = measured(texts[begin : begin + _BATCH])
        codes, owner = read.lowered.codes, read.lowered.owner()
        two, three = character_hashes(codes)
        inside = np.flatnonzero((codes[:-2] != 0) & (codes[2:] != 0))
        number = np.bincount(owner[inside], minlength=int(owner[-1]) + 1)
        # Of a text, no more than 200 characters count.
        weight = np.minimum(1, 200 / np.maximum(number, 1))[owner[inside]]
        pairs += np.bincount(two[inside], weight, len(pairs))
        triples += np.bincount(three[inside], weight, len(triples))
        words = np.unique((read.words.owner() << WORD_BITS) + word_place(read.words.hashes))
        seen += np.bincount(words & ((1 << WORD_BITS) - 1), minlength=len(seen))
    return {"pairs": _steps(pairs, 0.05), "triples": _steps(triples, 0.02), "words": np.packbits(seen >= 3)}


def _steps(counts: Floats, smoothing: float) -> npt.NDArray[np.int8]:
    logs = np.log((counts + smoothing) / (counts.sum() + smoothing * len(counts)))
    return np.round(logs * STEP).clip(-127, 0).astype(np.int8)


def _boosted(rows: Floats, wanted: Array, weights: Floats) -> dict[str, Array]:
    import lightgbm  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - training alone needs it

    settings = {
        "objective": "binary", "num_leaves": 12, "max_depth": DEPTH, "learning_rate": 0.07, "min_child_samples": 25,
        "colsample_bytree": 0.5, "subsample": 0.7, "subsample_freq": 1, "seed": 1, "num_threads": 1, "verbosity": -1,
        "boost_from_average": True,
    }  # fmt: skip
    fitted = lightgbm.train(settings, lightgbm.Dataset(rows, wanted.astype(int), weight=weights), num_boost_round=120)
    nodes: list[list[float]] = []

    def walk(node: dict[str, Any]) -> int:
        place = len(nodes)
        nodes.append([0, 0.0, place, place, 0.0])
        if "split_feature" in node:
            nodes[place][:2] = [node["split_feature"], node["threshold"]]
            nodes[place][2] = walk(node["left_child"])
            nodes[place][3] = walk(node["right_child"])
        else:
            nodes[place][4] = node["leaf_value"]
        return place

    roots = [walk(tree["tree_structure"]) for tree in fitted.dump_model()["tree_info"]]
    feature, threshold, left, right, value = zip(*nodes, strict=True)
    return {
        "tree_feature": np.array(feature, np.int16), "tree_threshold": np.array(threshold, np.float64),
        "tree_left": np.array(left, np.int32), "tree_right": np.array(right, np.int32),
        "tree_value": np.array(value, np.float32), "tree_roots": np.array(roots, np.int32),
    }  # fmt: skip


def scores_of(model: AbuseModel, texts: Sequence[str]) -> Floats:
    """A column a head, and the last one over all."""
    parts = [model.score(list(texts[begin : begin + _BATCH])) for begin in range(0, len(texts), _BATCH)]
    return np.column_stack([np.concatenate([p.heads for p in parts]), np.concatenate([p.overall for p in parts])])


def fold_of_source(examples: Sequence[Example], folds: int) -> dict[str, int]:
    """The fold in which each source is left out."""
    sources = sorted({e.source for e in examples})
    random.Random(3).shuffle(sources)
    return {source: number % folds for number, source in enumerate(sources)}


def left_out(examples: Sequence[Example], folds: int) -> Floats:
    """The scores of each example by a model that has seen nothing of its source."""
    fold_of = fold_of_source(examples, folds)
    found = np.zeros((len(examples), len(HEADS) + 1))
    for fold in range(folds):
        mine = [i for i, e in enumerate(examples) if fold_of[e.source] == fold]
        others = [e for e in examples if fold_of[e.source] != fold]
        model = model_of(train(with_own_texts(others)))
        found[mine] = scores_of(model, [examples[i].text for i in mine])
    return found


def thresholds(examples: Sequence[Example], scores: Floats) -> Floats:
    """By head, and one over all: what harmless texts of unseen sources reach as seldom as is allowed.

    A source counts as its square root: large ones say no more of others.
    """
    harmless = np.array([e.label == 0 for e in examples])
    weights = balance(np.array([e.source for e in examples]), ~harmless)[harmless]
    shares = [NOISE_SHARE if head == "noise" else HEAD_SHARE for head in HEADS] + [ALL_SHARE]
    return np.array([_quantile(scores[harmless, i], weights, 1 - share) for i, share in enumerate(shares)])


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    order = np.argsort(values)
    summed = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(summed, share)])
