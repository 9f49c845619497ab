"""Weights of models: whole, or told."""

import hashlib

import pytest

from pipelines.weights import WeightsError, load_weights, read_weights


@pytest.mark.parametrize("package", ["pipelines.guard.abuse", "pipelines.similarity", "pipelines.route.quality"])
def test_every_shipped_file_is_whole(package: str) -> None:
    assert load_weights(package, "shipped")


def test_a_package_without_weights_is_told() -> None:
    with pytest.raises(WeightsError, match="missing"):
        load_weights("pipelines.route", "missing")


def test_what_has_another_checksum_is_not_read() -> None:
    data = b"no archive"
    with pytest.raises(WeightsError, match="damaged"):
        read_weights(data, hashlib.sha256(b"another").hexdigest(), "shipped")
