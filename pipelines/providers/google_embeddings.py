"""Google's batchEmbedContents: one request, and what is answered.

Source: Gemini API reference, "Embeddings".
"""

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from pipelines.providers.answers import failure_in, misfit, not_an_answer, read_object, request_id
from pipelines.providers.counting import Unclear, count, is_possible
from pipelines.providers.embedding_options import embedding_options
from pipelines.providers.google_options import OF_EMBEDDINGS
from pipelines.providers.google_usage import USAGE
from pipelines.providers.vectors import Misfit, vectors_of
from pipelines.providers.wire import NotTaken
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Request
from synthralos.domain.money import Usage

MOST_INPUTS = 100
"""Texts of one request. Source: Gemini API, "Embeddings": a batch has at most 100."""


def encode(request: Request, deployment: Deployment, path: str, widened: Collection[str] = ()) -> bytes:
    """The JSON body of the call; `path` is the model's. Raises `NotTaken` for what this API has no form for."""
    texts = request.inputs
    if len(texts) > MOST_INPUTS:
        raise NotTaken(f"input: this API takes {MOST_INPUTS} texts at most; send several jobs")
    options = embedding_options(request, deployment, OF_EMBEDDINGS, widened)
    wanted = request.body.get("dimensions")
    each = {"model": path, **options, **({} if wanted is None else {"outputDimensionality": wanted})}
    return orjson.dumps({"requests": [{**each, "content": {"parts": [{"text": text}]}} for text in texts]})


def decode(body: bytes, headers: Mapping[str, str], request: Request, model: str) -> Reply | Failure:
    """The vectors in the body of an answer of status 200; `model`: who was asked, which the answer does not say."""
    document = read_object(body, headers, read_usage, USAGE)
    if isinstance(document, Failure):
        return document
    usage, found = read_usage(document.get(USAGE)), document.get("embeddings")
    if document.get("error") and not found:
        return failure_in(document, headers, usage)
    if not isinstance(found, list):
        return not_an_answer(document, headers, usage, "the answer has no embeddings")
    try:
        vectors = vectors_of([_values(each) for each in found], request)
    except Misfit as problem:
        return misfit(str(problem), usage)
    return Reply(text=None, usage=usage, model=model, provider_request_id=request_id(headers, None), embeddings=vectors)


def read_usage(usage: object) -> Usage | None:
    """The tokens that were billed; None, which is unknown, where the answer does not say."""
    if not isinstance(usage, dict):
        return None
    try:
        prompt, total = (count(usage.get(name)) for name in ("promptTokenCount", "totalTokenCount"))
    except Unclear:
        return None
    if prompt is None or total not in (None, prompt):
        return None
    found = Usage(prompt, 0)
    return found if is_possible(found) else None


def _values(found: Any) -> object:
    return found.get("values") if isinstance(found, dict) else None
