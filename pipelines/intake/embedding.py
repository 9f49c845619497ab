"""Jobs that ask for vectors instead of an answer: what they may hold, and the request that is made of it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.intake.errors import FieldError
from pipelines.intake.schema import AnyJobIn, ModelName
from synthralos.domain.aliases import EVERYTHING
from synthralos.domain.jobs import EMBEDDING
from synthralos.domain.limits import MOST_CHARACTERS

MOST_INPUTS = 256
"""Texts of one job: with as many numbers as any model gives, its result stays below 32 MiB."""

MOST_DIMENSIONS = 4_096

_PARAMETERS = ("input", "dimensions", "encoding_format")

Text = Annotated[str, Field(min_length=1)]


class EmbeddingIn(AnyJobIn):
    """One job: texts of which a model makes vectors, one each, in their order.

    `model` names one model: vectors of different models cannot be compared.
    """

    kind: Literal["embedding"]
    model: Annotated[ModelName, Field(description="`provider/model`, a deployment's id or an alias, never `auto`")]
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_INPUTS, fail_fast=True)]
    dimensions: Annotated[
        int, Field(ge=1, le=MOST_DIMENSIONS, description="numbers of a vector, where the model can choose")
    ] | None = None  # fmt: skip
    encoding_format: Annotated[
        Literal["float", "base64"],
        Field(description="of the vectors: numbers, or Base64 of little-endian 32-bit floats"),
    ] = "float"


def is_embedding(data: object) -> bool:
    """Whether a job, as it was sent, says that it is one."""
    return isinstance(data, dict) and data.get("kind") == EMBEDDING


def check_embedding(job: EmbeddingIn, path: str) -> Iterator[FieldError]:
    """What is wrong with its model's name and its texts; `path` is where the job is in the body."""
    if job.model == EVERYTHING:
        remedy = "name one model: vectors of different models cannot be compared"
        yield FieldError(f"{path}model", "must not be auto where vectors are asked for", remedy)
    many = isinstance(job.input, list)
    texts = [job.input] if isinstance(job.input, str) else job.input
    for number, text in enumerate(texts):
        if text.isspace():
            yield FieldError(f"{path}input[{number}]" if many else f"{path}input", "is blank", "send some text")
    if sum(map(len, texts)) > MOST_CHARACTERS:
        yield FieldError(f"{path}input", f"has more than {MOST_CHARACTERS} characters", "send several jobs")


def embedding_body(data: Mapping[str, Any]) -> dict[str, Any]:
    """The stored request of an embedding, as it was sent."""
    given = {name: data[name] for name in _PARAMETERS if data.get(name) is not None}
    return {"kind": EMBEDDING, **given}
