"""The adapter for Google's generateContent, as the Gemini API speaks it."""

from functools import partial
from urllib.parse import quote

from pipelines.providers.google_answer import decode
from pipelines.providers.google_options import RULES
from pipelines.providers.google_stream import GoogleAssembly
from pipelines.providers.google_wire import encode
from pipelines.providers.http_provider import HttpProvider
from pipelines.providers.options import streams
from pipelines.providers.transport.client import Client
from pipelines.providers.wire import StreamWire, Wire
from synthralos.config.credentials import CredentialsNow
from synthralos.domain.deployments import Deployment


class GoogleProvider(HttpProvider):
    """Speaks generateContent to any base URL, which ends with the version of the API.

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
    encoded = partial(encode, deployment=deployment)
    address = f"{deployment.base_url}/{path}:"
    stream = StreamWire(f"{address}streamGenerateContent?alt=sse", encoded, GoogleAssembly)
    return Wire(
        f"{address}generateContent",
        headers,
        encoded,
        decode,
        stream if streams(deployment.options) else None,
        RULES.widened_by(deployment.options),
    )
