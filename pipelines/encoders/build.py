"""The encoder that a setting names."""

from importlib.util import find_spec
from pathlib import Path

from pipelines.encoders.onnx import OnnxEncoder, onnx_file
from pipelines.encoders.protocol import Encoder, EncoderError
from pipelines.encoders.sentence_transformer import PackagedEncoder


class Encoders:
    """One encoder a model, whoever asks for it."""

    def __init__(self) -> None:
        self._made: dict[Path, Encoder] = {}

    def of(self, model: str) -> Encoder:
        """`model`: its folder, or the name of an installed package that carries one. Raises `EncoderError`.

        Models in ONNX are run by onnxruntime, others by sentence-transformers. Nothing is fetched.
        """
        folder = model_folder(model)
        if folder not in self._made:
            kind = PackagedEncoder if onnx_file(folder) is None else OnnxEncoder
            self._made[folder] = kind(folder, Path(model).name)
        return self._made[folder]


def model_folder(model: str) -> Path:
    """The folder of a model; raises `EncoderError` where there is none."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    for place in _of_package(model.replace("-", "_")):
        if (place / "config.json").is_file() or onnx_file(place) is not None:
            return place
    raise EncoderError(f"{model!r} is neither a folder nor an installed package with a model in it")


def _of_package(name: str) -> list[Path]:
    """Where an installed package may keep a model; nothing of it is run."""
    spec = find_spec(name) if name.isidentifier() else None
    roots = [Path(each) for each in (spec.submodule_search_locations or ())] if spec else []
    return [folder for root in roots for folder in (root, root / "model")]
