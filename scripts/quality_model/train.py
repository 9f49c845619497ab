"""The arrays of the quality model, from all rows."""

from typing import Any

import numpy as np

from scripts.quality_model.bands import bands_of
from scripts.quality_model.data import Nine, Two
from scripts.quality_model.judging import (
    SHARE_OF_BANDS,
    gain_targets,
    gain_weight,
    kind_columns,
    limits,
    quality_by_kind,
)
from scripts.quality_model.ridge import GAIN, KIND, inverse, see, space_of, weights


def train(two: Two, nine: Nine) -> dict[str, Any]:
    """The arrays by name, as `pipelines.route.quality.model.quality_model_of` reads them."""
    space = space_of([*two.prompts, *nine.prompts])
    seen, bands = see(two.prompts, space), bands_of(two.tasks, two.strong - two.weak)
    gain_words, gain_waves, gain_bias = weights(seen, GAIN, gain_targets(two, bands), gain_weight(two))
    band_words, band_waves, band_bias = weights(seen, KIND, bands.columns(two.tasks), np.ones(len(two.tasks)))
    seen, columns, ones = see(nine.prompts, space), kind_columns(nine), np.ones(len(nine.prompts))
    kind_words, kind_waves, kind_bias = weights(seen, KIND, columns, ones)
    limit = limits(inverse(seen, KIND, ones), nine, np.arange(len(columns)))
    halves = {
        "rarity": space.rarity,
        "mean": space.mean,
        "deviation": space.deviation,
        "waves": space.waves,
        "phases": space.phases,
        "words": np.column_stack([gain_words, kind_words, band_words]),
        "shape": np.column_stack([gain_waves, kind_waves, band_waves]),
    }
    return {
        **{name: values.astype(np.float16) for name, values in halves.items()},
        "bias": np.concatenate([gain_bias, kind_bias, band_bias]).astype(np.float32),
        "band_gains": SHARE_OF_BANDS * bands.gains,
        "familiar_from": np.float64(limit.familiar_from),
        "nine_names": np.array(nine.names),
        "nine_quality": quality_by_kind(columns, nine.quality),
        "nine_prices": nine.prices,
        "nine_exchange": np.float64(limit.exchange),
        "nine_best": np.int64(limit.best),
    }
