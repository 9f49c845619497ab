"""What somebody may have meant by a field that a job does not have: the word of another API, a slip, another place."""

from collections.abc import Mapping, Sequence

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


def _elsewhere(name: str, known: Names, where: str) -> str | None:
    return f"move it {where}" if name in known else None


def _near(name: str, known: Names) -> str | None:
    near = known.near(name)
    return f"did you mean {' or '.join(near)}?" if near else None
