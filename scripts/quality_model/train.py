"""The arrays of the quality model, from all rows."""

from typing import Any

import numpy as np

from scripts.quality_model.data import Nine, Two
from scripts.quality_model.judging import gain_targets, kind_columns, limits, quality_by_kind
from scripts.quality_model.ridge import GAIN, KIND, see, space_of, weights


def train(two: Two, nine: Nine) -> dict[str, Any]:
    """The arrays by name, as `pipelines.route.quality.model.quality_model_of` reads them."""
    space = space_of([*two.prompts, *nine.prompts])
    gain_words, gain_waves, gain_bias = weights(see(two.prompts, space), GAIN, *gain_targets(two))
    seen, columns = see(nine.prompts, space), kind_columns(nine)
    kind_words, kind_waves, kind_bias = weights(seen, KIND, columns, np.ones(len(columns)))
    limit = limits(seen.likeness(KIND), nine, np.arange(len(columns)))
    halves = {
        "rarity": space.rarity,
        "mean": space.mean,
        "deviation": space.deviation,
        "waves": space.waves,
        "phases": space.phases,
        "words": np.column_stack([gain_words, kind_words]),
        "shape": np.column_stack([gain_waves, kind_waves]),
    }
    return {
        **{name: values.astype(np.float16) for name, values in halves.items()},
        "bias": np.append(gain_bias, kind_bias).astype(np.float32),
        "familiar_from": np.float64(limit.familiar_from),
        "nine_names": np.array(nine.names),
        "nine_quality": quality_by_kind(columns, nine.quality),
        "nine_prices": nine.prices,
        "nine_exchange": np.float64(limit.exchange),
        "nine_best": np.int64(limit.best),
    }
