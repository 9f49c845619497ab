"""The data files that models ship their weights in: arrays by name, and a checksum beside them."""

import hashlib
import io
from importlib.resources import files
from typing import Any

import numpy as np

_FILE, _SUM = "weights.npz", "weights.sha256"


class WeightsError(Exception):
    """A data file cannot be used."""


def load_weights(package: str | None, model: str) -> dict[str, Any]:
    """The arrays that `package` ships for `model` (its name in words, for messages); raises `WeightsError`."""
    folder = files(package or "")
    try:
        data, wanted = folder.joinpath(_FILE).read_bytes(), folder.joinpath(_SUM).read_text().strip()
    except OSError as error:
        raise WeightsError(f"the weights of the {model} model cannot be read: {error}") from error
    return read_weights(data, wanted, model)


def read_weights(data: bytes, sha256: str, model: str) -> dict[str, Any]:
    """The arrays of a file's bytes; raises `WeightsError` where they are not those of the checksum."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise WeightsError(f"the weights of the {model} model are damaged: install the package again")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)
