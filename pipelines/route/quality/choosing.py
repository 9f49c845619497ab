"""Choosing between models by what quality they are expected to have, and what they cost."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Choices = npt.NDArray[np.int64]

OUTPUT_TOKENS = 250
"""Output tokens that a cost is estimated with where nothing else is known."""


def best_exchange(expected: Floats, costs: Floats, exchange: float) -> Choices:
    """The model of each prompt with the most quality less `exchange` times its cost; both have a column a model."""
    chosen: Choices = np.argmax(expected - exchange * costs, axis=1)
    return chosen


def cheapest_within(expected: Floats, costs: Floats, give_up: float) -> Choices:
    """The cheapest model of each prompt whose quality is at most `give_up` below the best; of equals, the better."""
    near = expected >= expected.max(axis=1, keepdims=True) - give_up - 1e-12
    cost = np.where(near, costs, np.inf)
    cheapest = cost == cost.min(axis=1, keepdims=True)
    chosen: Choices = np.argmax(np.where(cheapest, expected, -np.inf), axis=1)
    return chosen


def costs_of(tokens: Floats, prices: Floats) -> Floats:
    """Of each prompt (tokens) with each model (USD per million input and output tokens): USD per million prompts."""
    return tokens[:, None] * prices[None, :, 0] + OUTPUT_TOKENS * prices[None, :, 1]
