"""Sentence encoders that run here: what they read, in what time, and what is said where one cannot be had."""

import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipelines.embedders.local import EncoderLikeness
from pipelines.encoders.build import Encoders, model_folder
from pipelines.encoders.protocol import Encoder, EncoderError, Vector, Vectors
from pipelines.encoders.runs import Runs
from pipelines.repeats.likeness import NgramLikeness
from synthralos.telemetry.families import EMBEDDED
from synthralos.telemetry.metrics import Metrics
from tests.fakes.sentence_encoders import DIMENSIONS, encoder_folder, lookup_model
from tests.fakes.stage_jobs import a_job

PLENTY = 60.0


def axis(place: int) -> list[float]:
    return [float(n == place) for n in range(DIMENSIONS)]


WORDS = {"river": axis(0), "stream": axis(0), "cake": axis(1)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return encoder_folder(tmp_path / "small-encoder", WORDS)


@pytest.fixture
def encoder(folder: Path) -> Encoder:
    return Encoders().of(str(folder))


def rows(encoder: Encoder, *texts: str) -> Vectors:
    found = encoder.encode(texts, PLENTY)
    assert all(row is not None for row in found)
    return np.array(found)


def test_each_text_has_its_vector_whatever_stands_beside_it(encoder: Encoder) -> None:
    assert (encoder.name, encoder.dimensions) == ("small-encoder", DIMENSIONS)
    texts = ["river " * 7, "Cake", "river cake", "stream", "", "\ud800", "cake " * 5_000] * 5
    together = rows(encoder, *texts)
    alone = np.concatenate([rows(encoder, text) for text in texts])
    assert np.allclose(together, alone, atol=1e-6)
    lengths = np.linalg.norm(together, axis=1)
    assert np.allclose(lengths, [float(text != "") for text in texts], atol=1e-6)
    assert np.allclose(together[:4], [axis(0), axis(1), np.array([*[0.5**0.5] * 2, *[0] * 6]), axis(0)], atol=1e-6)


def test_no_more_than_the_models_tokens_are_read(encoder: Encoder) -> None:
    [row] = rows(encoder, "river " * 32 + "cake " * 1_000)
    assert np.allclose(row, axis(0))


def test_a_model_may_speak_by_its_first_token(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    assert np.allclose(rows(Encoders().of(str(folder)), "river cake cake"), [axis(0)])


def test_one_model_is_read_once_whoever_asks(folder: Path) -> None:
    encoders = Encoders()
    assert encoders.of(str(folder)) is encoders.of(f"{folder}/.")


class SlowModel:
    """A model whose runs take a second each, by a clock of their own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.runs: list[int] = []

    def run(self, texts: Sequence[str]) -> Vectors:
        self.now += 1.0
        self.runs.append(len(texts))
        return np.ones((len(texts), 2), np.float32)


def test_what_there_is_no_time_for_is_left_out_the_longest_first() -> None:
    model = SlowModel()
    runs = Runs(model.run, lambda: model.now)
    found = runs.encode(["a" * 9_000, *["b"] * 40], 2.5)
    assert found[0] is None
    assert sum(row is not None for row in found) == sum(model.runs)
    assert model.now <= 3.0
    assert runs.encode(["a"], 0.0) == [None]


def test_a_text_of_any_length_costs_a_bounded_run() -> None:
    read: list[int] = []

    def run(texts: Sequence[str]) -> Vectors:
        read.append(len(texts) * max(map(len, texts)))
        return np.ones((len(texts), 2), np.float32)

    Runs(run).encode(["漢" * 1_000_000, *["x" * n for n in range(0, 3_000, 100)]], PLENTY)
    assert max(read) <= 4_000


def test_who_waits_for_its_turn_spends_its_own_time() -> None:
    inside, leave = threading.Event(), threading.Event()

    def run(texts: Sequence[str]) -> Vectors:
        inside.set()
        leave.wait(10)
        return np.ones((len(texts), 2), np.float32)

    runs = Runs(run)
    first: list[list[Vector | None]] = []
    holder = threading.Thread(target=lambda: first.append(runs.encode(["a"], PLENTY)))
    holder.start()
    assert inside.wait(10)
    assert runs.encode(["b"], 0.01) == [None]
    leave.set()
    holder.join()
    assert first[0][0] is not None


def test_a_model_is_found_in_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_model"
    encoder_folder(package / "model", WORDS)
    (package / "__init__.py").write_text("raise RuntimeError('nothing of it is run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert model_folder("some-model") == package / "model"
    assert Encoders().of("some-model").name == "some-model"


@pytest.mark.parametrize("named", ["nowhere", "/nowhere/at/all", "json", "../x", ""])
def test_what_is_no_model_is_refused_with_its_name(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EncoderError, match="neither"):
        Encoders().of(named or "nothing here")


def test_a_damaged_model_is_refused_in_one_line(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(lookup_model(np.ones((4, DIMENSIONS), np.float32))[:-9])
    with pytest.raises(EncoderError, match="cannot be used") as refused:
        Encoders().of(str(folder))
    assert "\n" not in str(refused.value)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match="no tokenizer"):
        Encoders().of(str(folder))


@pytest.mark.parametrize(
    ("kept", "missing", "remedy"),
    [("model.onnx", "onnxruntime", "deep-guard"), (None, "sentence_transformers", "sentence-transformers")],
)
def test_a_missing_package_is_named_with_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kept: str | None, missing: str, remedy: str
) -> None:
    if kept is None:
        (folder / "model.onnx").unlink()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(EncoderError, match=rf"{missing}.*pip install 'synthralos\[{remedy}\]'"):
        Encoders().of(str(folder))


def test_prompts_are_placed_here_whatever_binds_them_and_by_the_built_in_embedder_when_time_is_up(
    encoder: Encoder,
) -> None:
    metrics = Metrics()
    in_time, late = (EncoderLikeness(NgramLikeness(), encoder, seconds, metrics) for seconds in (PLENTY, 0.0))
    texts = ["Write to jo@example.com", "river"]
    jobs = [a_job(text) for text in texts]
    assert [each.embedder for each in in_time.embed(jobs, texts)] == ["sentence-transformers/small-encoder/8"] * 2
    assert [each.embedder for each in late.embed(jobs, texts)] == ["ngrams-1"] * 2
    counters = metrics.counters(EMBEDDED)
    assert [counters[(how,)]._value.get() for how in ("encoder", "unanswered")] == [2, 2]
    assert (in_time.nearness("sentence-transformers/small-encoder/8"), in_time.nearness("openai/x/8")) == (0.5, None)


class BrokenEncoder:
    name, dimensions = "broken", 2

    def encode(self, texts: Sequence[str], seconds: float) -> list[Vector | None]:
        raise MemoryError


def test_a_model_that_fails_stops_no_job() -> None:
    placed = EncoderLikeness(NgramLikeness(), BrokenEncoder(), PLENTY, Metrics()).embed([a_job("river")], ["river"])
    assert placed[0].embedder == "ngrams-1"
