"""The adapter for Google's generateContent and batchEmbedContents, as the Gemini API speaks them."""

from functools import partial
from urllib.parse import quote

from pipelines.providers import google_embeddings
from pipelines.providers.google_answer import decode
from pipelines.providers.google_options import RULES
from pipelines.providers.google_stream import GoogleAssembly
from pipelines.providers.google_wire import encode
from pipelines.providers.http_provider import HttpProvider
from pipelines.providers.options import streams
from pipelines.providers.transport.client import Client
from pipelines.providers.transport.protocol import HeaderFields
from pipelines.providers.wire import Decode, StreamWire, Wire, always
from synthralos.config.credentials import CredentialsNow
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Request


class GoogleProvider(HttpProvider):
    """Speaks generateContent to any base URL, which ends with the version of the API.

    A deployment that makes embeddings is sent batchEmbedContents instead.

    `upstream_model` is the model's name, or its whole path where it is not under `models/`. A deployment's `options`
    may hold `allow_options`: names of provider options to pass on in `generationConfig`, besides those that all may
    have.
    """

    def __init__(self, credentials: CredentialsNow, client: Client | None = None) -> None:
        super().__init__(_wire, RULES, credentials, client)


def check_deployment(deployment: Deployment) -> None:
    """Raise `ValueError` for a deployment that this adapter cannot call, naming the field."""
    RULES.check_deployment(deployment)


def _wire(deployment: Deployment, key: str | None) -> Wire:
    model = deployment.upstream_model
    path = quote(model if "/" in model else f"models/{model}")
    headers = () if key is None else (("x-goog-api-key", key),)
    address = f"{deployment.base_url}/{path}:"
    if deployment.embeds:
        return _embeddings_wire(deployment, address, headers)
    encoded = partial(encode, deployment=deployment)
    stream = StreamWire(f"{address}streamGenerateContent?alt=sse", encoded, GoogleAssembly)
    return Wire(
        f"{address}generateContent",
        headers,
        encoded,
        always(decode),
        stream if streams(deployment.options) else None,
        RULES.widened_by(deployment.options),
    )


def _embeddings_wire(deployment: Deployment, address: str, headers: HeaderFields) -> Wire:
    widened = RULES.widened_by(deployment.options)
    model = deployment.upstream_model
    path = model if "/" in model else f"models/{model}"

    def decode_for(request: Request) -> Decode:
        return partial(google_embeddings.decode, request=request, model=model)

    encoded = partial(google_embeddings.encode, deployment=deployment, path=path, widened=widened)
    return Wire(f"{address}batchEmbedContents", headers, encoded, decode_for, widened=widened)
