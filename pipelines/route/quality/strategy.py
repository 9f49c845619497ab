"""The strategy `quality_aware`: the cheapest candidate whose expected quality is near enough to the best one's."""

import logging
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from pipelines.route.protocol import CacheUse, Candidate
from pipelines.route.quality.model import QualityModel, load_quality_model
from pipelines.weights import WeightsError
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Job
from synthralos.domain.plans import Step
from synthralos.domain.quality import DEFAULT, KINDS, QualityTable

log = logging.getLogger(__name__)

_NOT_THE_TASK = ("system", "developer", "assistant", "tool")
"""Roles whose messages say little of what is asked."""

_EXACTNESS = 1e-9


class _Prompt(NamedTuple):
    """What is known of a prompt: how likely each kind is, and the gain of a strong model. Neither where it is new."""

    kinds: Mapping[str, float]
    gain: float | None

    @property
    def words(self) -> str:
        return "a prompt unlike any kind" if self.gain is None else max(self.kinds, key=self.kinds.__getitem__)


class _Expected(NamedTuple):
    """The quality of a candidate; `words` says whence."""

    candidate: Candidate
    quality: float
    words: str

    @property
    def cost(self) -> float:
        estimated = self.candidate.estimated_cost
        return math.inf if estimated is None else float(estimated)


_NEW = _Prompt({DEFAULT: 1.0}, None)


class QualityAware:
    """By what the prompt seems to be, and what the table says of each model there; else by its tier.

    Of a prompt that is like no kind nothing is given up: the best by its quality over all prompts. Thread-safe.
    """

    name = "quality_aware"
    repeatable = False
    cache_use = CacheUse.PRICES_AND_RANKS

    def __init__(self, table: QualityTable) -> None:
        self._table = table

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> list[Step]:
        """See `Strategy.rank`. Figures in reasons are rounded, so that plans of like jobs are equal."""
        if not candidates:
            return []
        prompt = _prompt(job)
        expected = [self._expected(candidate, prompt) for candidate in candidates]
        best = max(each.quality for each in expected)
        least = best - (0 if prompt.gain is None else self._table.give_up) - _EXACTNESS
        near = sorted((e for e in expected if e.quality >= least), key=_by_cost)
        far = sorted((e for e in expected if e.quality < least), key=_by_quality)
        return [
            Step(each.candidate.deployment.id, self._reason(each, number, best, prompt), each.candidate.estimated_cost)
            for number, each in enumerate(near + far)
        ]

    def _expected(self, candidate: Candidate, prompt: _Prompt) -> _Expected:
        deployment = candidate.deployment
        measured = self._measured(deployment)
        if measured is not None:
            quality = sum(share * measured[kind] for kind, share in prompt.kinds.items())
            return _Expected(candidate, quality, "as measured")
        prior = self._table.prior
        gain = prior.strong_quality - prior.weak_quality if prompt.gain is None else prompt.gain
        quality = prior.weak_quality + prior.levels[deployment.tier] * gain
        return _Expected(candidate, quality, f"assumed of its tier, {deployment.tier.value}")

    def _measured(self, deployment: Deployment) -> Mapping[str, float] | None:
        measured = self._table.measured
        return measured.get(deployment.id) or measured.get(deployment.model_name)

    def _reason(self, each: _Expected, number: int, best: float, prompt: _Prompt) -> str:
        estimate = each.candidate.estimated_cost
        cost = "its price is unknown" if estimate is None else f"estimated cost {float(estimate):.2g} USD"
        quality = f"expected quality {each.quality:.2f} for {prompt.words} ({each.words}), the best {best:.2f}"
        give_up = 0 if prompt.gain is None else self._table.give_up
        if each.quality < best - give_up - _EXACTNESS:
            return f"{quality}: more than {give_up:g} below; {cost}"
        place = "the cheapest" if number == 0 else f"number {number + 1} by cost of those"
        return f"{place} within {give_up:g} of the best: {quality}; {cost}"


def _by_cost(each: _Expected) -> tuple[float, float, int, str]:
    return each.cost, -each.quality, each.candidate.rank, each.candidate.deployment.id


def _by_quality(each: _Expected) -> tuple[float, float, int, str]:
    return -each.quality, each.cost, each.candidate.rank, each.candidate.deployment.id


def _prompt(job: Job) -> _Prompt:
    model = _model()
    text = "\n".join(job.request.texts(without=_NOT_THE_TASK))
    if model is None or not text.strip():
        return _NEW
    judged = model.judge([text])
    if not judged.familiar[0]:
        return _NEW
    # That the strong model of the training data was worse somewhere says nothing of those of a catalog.
    return _Prompt(dict(zip(KINDS, judged.kinds[0].tolist(), strict=True)), max(0.0, float(judged.gain[0])))


@cache
def _model() -> QualityModel | None:
    """The shipped model; None, once told, where its file is damaged: then every prompt is like no kind."""
    try:
        return load_quality_model()
    except WeightsError as error:
        log.error("quality_aware takes the best model for every prompt: %s", error)
        return None
