"""The adapter for Anthropic's messages, and for every server that speaks them."""

from collections.abc import Collection
from functools import partial

from pipelines.providers.anthropic_answer import decode
from pipelines.providers.anthropic_options import RULES
from pipelines.providers.anthropic_stream import AnthropicAssembly
from pipelines.providers.anthropic_wire import NO_SEED, SCHEMA_ALONE, encode, no_sampling
from pipelines.providers.http_provider import HttpProvider
from pipelines.providers.options import streams
from pipelines.providers.transport.client import Client
from pipelines.providers.wire import StreamWire, Wire, always, asking_to_stream
from synthralos.config.credentials import CredentialsNow
from synthralos.domain.deployments import Deployment

VERSION = "2026-10-21"
"""The version of the API that is spoken (`anthropic-version`)."""

SAMPLING_VERSION = "2023-06-01"
"""The last one that takes `temperature`, `top_p` and `top_k`; of the rest that is sent it makes no difference."""


class AnthropicProvider(HttpProvider):
    """Speaks messages to any base URL.

    A deployment's `options` may hold `sampling`: true for models that take `temperature`, `top_p` and `top_k`, as those
    before Opus 4.7 do, and `allow_options`: names of provider options to pass on besides those that all may have.
    """

    def __init__(self, credentials: CredentialsNow, client: Client | None = None) -> None:
        super().__init__(_wire, RULES, credentials, client)


def check_deployment(deployment: Deployment) -> None:
    """Raise `ValueError` for a deployment that this adapter cannot call, naming the field."""
    if deployment.embeds:
        raise ValueError("capabilities: this adapter makes no embeddings")
    RULES.check_deployment(deployment, "sampling")
    _sampling(deployment)


def not_taken(asked: Collection[str], deployment: Deployment) -> str | None:
    """Why a call that asks for these would be refused before it is sent; see `Adapter.not_taken`."""
    if "seed" in asked:
        return NO_SEED
    if "json_object" in asked:
        return SCHEMA_ALONE
    if _sampling(deployment):
        return None
    sampled = {"temperature": "temperature", "top_p": "top_p", "top_k": f"{deployment.provider}.top_k"}
    return next((no_sampling(name) for name, wanted in sampled.items() if wanted in asked), None)


def writes_cache(deployment: Deployment) -> bool:
    """Only where it is asked for, which the catalog has to allow. Source: "Prompt caching"."""
    return "cache_control" in RULES.widened_by(deployment.options)


def _wire(deployment: Deployment, key: str | None) -> Wire:
    sampling = _sampling(deployment)
    version = SAMPLING_VERSION if sampling else VERSION
    headers = (("anthropic-version", version), *(() if key is None else (("x-api-key", key),)))
    encoded = partial(encode, deployment=deployment, sampling=sampling)
    address, widened = f"{deployment.base_url}/messages", RULES.widened_by(deployment.options)
    stream = StreamWire(address, asking_to_stream(encoded), AnthropicAssembly) if streams(deployment.options) else None
    return Wire(address, headers, encoded, always(decode), stream, widened)


def _sampling(deployment: Deployment) -> bool:
    chosen = deployment.options.get("sampling", False)
    if not isinstance(chosen, bool):
        raise ValueError("options.sampling: must be true or false")
    return chosen
