"""Models in ONNX, run by onnxruntime on one core: folders as Hugging Face keeps them, with `tokenizer.json`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.encoders.protocol import EncoderError, Vector, Vectors, unusable
from pipelines.encoders.runs import Runs

FILES = ("onnx/model.onnx", "onnx/model_quantized.onnx", "model.onnx", "model_quantized.onnx")
"""Where the model is looked for in its folder."""

MOST_TOKENS = 256
"""That are read of a text; fewer where the model's folder says so."""


class OnnxEncoder:
    """See `Encoder`."""

    def __init__(self, folder: Path, name: str) -> None:
        """Reads the model, which is to be called `name`.

        Raises `EncoderError` where a package is missing, or the model is none of this kind.
        """
        session, tokenizer = _libraries()
        self.name = name
        try:
            self._tokenizer = _tokenizer(tokenizer, folder)
            self._session = _session(session, _model(folder))
            self._first_token = _told(folder / "1_Pooling" / "config.json").get("pooling_mode_cls_token") is True
            self._inputs = {each.name for each in self._session.get_inputs()}
            self._runs = Runs(self._run)
            self.dimensions = self._run(["a"]).shape[1]
        except EncoderError:
            raise
        except Exception as error:  # the edge to a library, which raises what it likes about a bad file
            raise unusable(folder, error) from error

    def encode(self, texts: Sequence[str], seconds: float) -> list[Vector | None]:
        """See `Encoder.encode`."""
        return self._runs.encode(texts, seconds)

    def _run(self, texts: Sequence[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch(list(texts))
        ids = np.array([each.ids for each in encoded], np.int64)
        mask = np.array([each.attention_mask for each in encoded], np.int64)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        [states, *_] = self._session.run(None, {name: given[name] for name in self._inputs})
        return _unit(self._pooled(np.asarray(states, np.float32), mask))

    def _pooled(self, states: Vectors, mask: npt.NDArray[np.int64]) -> Vectors:
        """The mean over a text's tokens, or its first token; some models give that themselves."""
        if states.ndim == 2:
            return states
        if self._first_token:
            return states[:, 0]
        weights = mask[:, :, None].astype(np.float32)
        mean: Vectors = (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
        return mean


def _libraries() -> tuple[Any, Any]:
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
        import tokenizers  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EncoderError(
            f"needs what is not installed ({error.name}): pip install 'synthralos[deep-guard]'"
        ) from None
    return onnxruntime, tokenizers


def onnx_file(folder: Path) -> Path | None:
    """The model in ONNX in a model's folder; None where there is none."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def _model(folder: Path) -> Path:
    found = onnx_file(folder)
    if found is None:
        raise EncoderError(f"{folder} has no model in ONNX ({', '.join(FILES)})")
    return found


def _session(onnxruntime: Any, model: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _tokenizer(tokenizers: Any, folder: Path) -> Any:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise EncoderError(f"{folder} has no tokenizer.json")
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    told = _told(folder / "sentence_bert_config.json").get("max_seq_length")
    tokenizer.enable_truncation(min(told, MOST_TOKENS) if isinstance(told, int) and told > 0 else MOST_TOKENS)
    padding = tokenizer.token_to_id("[PAD]") is None and tokenizer.token_to_id("<pad>")
    tokenizer.enable_padding(pad_id=padding or 0)
    return tokenizer


def _told(file: Path) -> dict[str, Any]:
    """What a model's folder says of it; nothing where it says nothing."""
    told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return told if isinstance(told, dict) else {}


def _unit(rows: Vectors) -> Vectors:
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    unit: Vectors = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    if not np.isfinite(unit).all():
        raise ValueError("the model gives no numbers")
    return unit
