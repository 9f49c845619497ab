"""Small sentence encoders on the disk, in the form of real ones: a real model in ONNX, and a real tokenizer.

The model looks each word up in a table; the libraries that run it are the real ones.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

DIMENSIONS = 8
UNKNOWN, PADDING = "[UNK]", "[PAD]"

_INT64, _FLOAT = 7, 1


def encoder_folder(folder: Path, words: Mapping[str, Iterable[float]], *, most_tokens: int = 32) -> Path:
    """A model's folder: the vector of a text is the direction of the mean of its words' rows of `DIMENSIONS` numbers.

    All words that are not given share a row, which is zero but for its last number.
    """
    table = np.zeros((2 + len(words), DIMENSIONS), np.float32)
    table[:2, -1] = 1.0, 100.0  # padding that counted would be seen
    for place, row in enumerate(words.values(), 2):
        table[place] = list(row)
    folder.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(folder / "tokenizer.json", words)
    (folder / "model.onnx").write_bytes(lookup_model(table))
    (folder / "config.json").write_text("{}")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": most_tokens}))
    return folder


def _write_tokenizer(file: Path, words: Iterable[str]) -> None:
    vocabulary = {word: place for place, word in enumerate([UNKNOWN, PADDING, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(file))


def lookup_model(table: npt.NDArray[np.float32]) -> bytes:
    """A model in ONNX (opset 13) that gives for `input_ids` the rows of the table."""
    initializer = b"".join(_number(1, size) for size in table.shape) + _number(2, _FLOAT)
    initializer += _bytes(8, b"table") + _bytes(9, table.astype("<f4").tobytes())
    node = _bytes(1, b"table") + _bytes(1, b"input_ids") + _bytes(2, b"last_hidden_state") + _bytes(4, b"Gather")
    inputs = b"".join(_bytes(11, _value(name, _INT64, 2)) for name in (b"input_ids", b"attention_mask"))
    output = _bytes(12, _value(b"last_hidden_state", _FLOAT, 3))
    graph = _bytes(1, node) + _bytes(2, b"lookup") + _bytes(5, initializer) + inputs + output
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _number(2, 13))


def _value(name: bytes, kind: int, dimensions: int) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, b"d%d" % place)) for place in range(dimensions))
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """As protocol buffers write numbers."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
