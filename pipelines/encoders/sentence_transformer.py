"""Any model of the sentence-transformers package, run by it on the CPU. It brings PyTorch, which is large."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.encoders.protocol import EncoderError, Vector, Vectors, unusable
from pipelines.encoders.runs import Runs


class PackagedEncoder:
    """See `Encoder`."""

    def __init__(self, folder: Path, name: str) -> None:
        """Reads the model, which is to be called `name`.

        Raises `EncoderError` where the package is missing, or the model is none of its kind.
        """
        try:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise EncoderError(
                f"{folder} has no model in ONNX, and to run another one needs what is not installed ({error.name}): "
                "pip install 'synthralos[sentence-transformers]'"
            ) from None
        try:
            self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
            self.name = name
            self._runs = Runs(self._run)
            self.dimensions = self._run(["a"]).shape[1]
        except Exception as error:  # the edge to a library, which raises what it likes about a bad file
            raise unusable(folder, error) from error

    def encode(self, texts: Sequence[str], seconds: float) -> list[Vector | None]:
        """See `Encoder.encode`."""
        return self._runs.encode(texts, seconds)

    def _run(self, texts: Sequence[str]) -> Vectors:
        rows = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(rows, np.float32)
