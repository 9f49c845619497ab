"""What somebody may have meant by a field that is not known: the word of another API, a slip, another place."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel

from pipelines.intake.embedding import EmbeddingIn
from pipelines.intake.schema import ConstraintsIn, JobIn
from pipelines.suggestions import Names

_JOB = Names(JobIn.model_fields)
_EMBEDDING = Names(EmbeddingIn.model_fields)
_CONSTRAINTS = Names(ConstraintsIn.model_fields)

_OF_OTHERS: Mapping[str, str] = {
    "max_tokens": "send max_output_tokens",
    "max_completion_tokens": "send max_output_tokens",
    "stop_sequences": "send stop",
    "timeout": "send deadline_seconds",
    "input": "send prompt or messages, or kind: embedding for vectors",
    "dimensions": "send kind: embedding for vectors",
    "encoding_format": "send kind: embedding for vectors",
    "system": "send messages, the first with the role system",
    "n": "leave it out; send one job for each answer",
}
"""Remedies for the fields of other APIs."""


def remedy_for(loc: Sequence[str | int]) -> str | None:
    """The remedy for the unknown field at `loc` in a job; None where nothing comes near."""
    match loc:
        case (str(name),):
            return _OF_OTHERS.get(name) or _elsewhere(name, _CONSTRAINTS, "into constraints") or _near(name, _JOB)
        case ("constraints", str(name)):
            return _elsewhere(name, _JOB, "beside constraints") or _near(name, _CONSTRAINTS)
    return None


def remedy_in_embedding(loc: Sequence[str | int]) -> str | None:
    """The remedy for the unknown field at `loc` in an embedding; None where nothing comes near."""
    match loc:
        case (str(name),) if name in ("prompt", "messages"):
            return "send input"
        case (str(name),) if name in _JOB:
            return "leave it out: it is for chats"
        case (str(name),):
            return _elsewhere(name, _CONSTRAINTS, "into constraints") or _near(name, _EMBEDDING)
        case ("constraints", str(name)):
            return _elsewhere(name, _EMBEDDING, "beside constraints") or _near(name, _CONSTRAINTS)
    return None


def remedies_in(model: type[BaseModel]) -> Callable[[Sequence[str | int]], str | None]:
    """What gives the remedy for the unknown field at a place in a document of the model: the names that are known."""

    def remedy(loc: Sequence[str | int]) -> str | None:
        known = _names_at(model, tuple(part for part in loc[:-1] if isinstance(part, str)))
        if known is None or not loc:
            return None
        return _near(str(loc[-1]), known) or f"remove it; known are {known.some}"

    return remedy


@lru_cache(1_024)
def _names_at(model: type[BaseModel], path: tuple[str, ...]) -> Names | None:
    """The fields of the object at the path; None where it has none of its own, or may be one of several."""
    for part in path:
        field = model.model_fields.get(part)
        models = set() if field is None else set(_models_in(field.annotation))
        if len(models) != 1:
            return None
        [model] = models
    return Names(model.model_fields) if model.model_fields else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]


def _elsewhere(name: str, known: Names, where: str) -> str | None:
    return f"move it {where}" if name in known else None


def _near(name: str, known: Names) -> str | None:
    near = known.near(name)
    return f"did you mean {' or '.join(near)}?" if near else None
