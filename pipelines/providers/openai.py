"""The adapter for OpenAI's chat completions, responses and embeddings, and for every server that speaks them."""

from collections.abc import Mapping
from functools import partial

from pipelines.providers import openai_embeddings, responses_answer, responses_wire
from pipelines.providers.http_provider import HttpProvider
from pipelines.providers.openai_address import AZURE, Address, address_of, azure_version, host, is_openai
from pipelines.providers.openai_answer import decode
from pipelines.providers.openai_options import RULES
from pipelines.providers.openai_stream import OpenAIAssembly
from pipelines.providers.openai_wire import encode
from pipelines.providers.options import streams
from pipelines.providers.responses_stream import ResponsesAssembly
from pipelines.providers.transport.client import Client
from pipelines.providers.wire import Decode, StreamWire, Wire, always, asking_to_stream
from synthralos.config.credentials import CredentialsNow
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Request

CHAT, RESPONSES = "chat_completions", "responses"
"""What the option `api` of a deployment may be."""

_MAX_TOKENS_FIELDS = ("max_completion_tokens", "max_tokens")
_THINKING_HOSTS = ("generativelanguage.googleapis.com",)
"""Gemini API, "Thinking": thoughts are billed as output and counted in the total alone."""


class OpenAIProvider(HttpProvider):
    """Speaks chat completions to any base URL, or embeddings where the deployment says that it makes them.

    A deployment's `options` may hold `max_tokens_field`: `max_completion_tokens` (OpenAI's and Azure's default
    here) or `max_tokens` (every other server's), and `allow_options`: names of provider options to pass on besides
    those that all may have. With `stream_usage` false a stream is not asked for its usage (`stream_options`), which
    then stays unknown: for servers that refuse the question. `azure_api_version`: see `openai_address`.
    `api` is `chat_completions`, or `responses` for OpenAI's Responses API. OpenAI and Azure refuse members of messages
    that they do not know; all others get them.
    """

    def __init__(self, credentials: CredentialsNow, client: Client | None = None) -> None:
        super().__init__(_wire, RULES, credentials, client)


def _wire(deployment: Deployment, key: str | None) -> Wire:
    address = address_of(deployment, key)
    if deployment.embeds:
        return _embeddings_wire(deployment, address)
    if _api(deployment) == RESPONSES:
        return _responses_wire(deployment, address)
    limit, strict = _max_tokens_field(deployment), is_openai(deployment)
    thoughts_beside = host(deployment).endswith(_THINKING_HOSTS)

    def encoded(request: Request) -> bytes:
        return encode(request, deployment, limit, strict=strict)

    def decoded(body: bytes, headers: Mapping[str, str]) -> Reply | Failure:
        return decode(body, headers, thoughts_beside=thoughts_beside)

    url = address.of("/chat/completions")
    stream = None
    if streams(deployment.options):
        more = b',"stream_options":{"include_usage":true}' if _tells_usage(deployment) else b""
        stream = StreamWire(url, asking_to_stream(encoded, more), OpenAIAssembly)
    return Wire(url, address.headers, encoded, always(decoded), stream, RULES.widened_by(deployment.options))


def _embeddings_wire(deployment: Deployment, address: Address) -> Wire:
    widened, compact = RULES.widened_by(deployment.options), is_openai(deployment)

    def decode_for(request: Request) -> Decode:
        return partial(openai_embeddings.decode, request=request)

    encoded = partial(openai_embeddings.encode, deployment=deployment, widened=widened, compact=compact)
    return Wire(address.of("/embeddings"), address.headers, encoded, decode_for, widened=widened)


def _responses_wire(deployment: Deployment, address: Address) -> Wire:
    url, widened = address.of("/responses"), RULES.widened_by(deployment.options)
    encoded = partial(responses_wire.encode, deployment=deployment, widened=widened)
    stream = StreamWire(url, asking_to_stream(encoded), ResponsesAssembly) if streams(deployment.options) else None
    return Wire(url, address.headers, encoded, always(responses_answer.decode), stream, widened)


def check_deployment(deployment: Deployment) -> None:
    """Raise `ValueError` for a deployment that this adapter cannot call, naming the field."""
    RULES.check_deployment(deployment, "max_tokens_field", "stream_usage", AZURE, "api")
    azure_version(deployment)
    _api(deployment)
    _tells_usage(deployment)
    _max_tokens_field(deployment)


def _api(deployment: Deployment) -> str:
    chosen = deployment.options.get("api", CHAT)
    if chosen not in (CHAT, RESPONSES):
        raise ValueError(f"options.api: must be {CHAT} or {RESPONSES}")
    if chosen == RESPONSES and deployment.embeds:
        raise ValueError("options.api: the Responses API makes no embeddings; leave it out")
    if chosen == RESPONSES and azure_version(deployment) not in (None, "v1"):
        raise ValueError("options.api: Azure's Responses API has no dated paths; set azure_api_version to v1")
    return str(chosen)


def _tells_usage(deployment: Deployment) -> bool:
    chosen = deployment.options.get("stream_usage", True)
    if not isinstance(chosen, bool):
        raise ValueError("options.stream_usage: must be true or false")
    return chosen


def _max_tokens_field(deployment: Deployment) -> str:
    chosen = deployment.options.get("max_tokens_field")
    if chosen is None:
        return _MAX_TOKENS_FIELDS[0] if is_openai(deployment) else _MAX_TOKENS_FIELDS[1]
    if chosen not in _MAX_TOKENS_FIELDS:
        raise ValueError(f"options.max_tokens_field: must be one of {', '.join(_MAX_TOKENS_FIELDS)}")
    return str(chosen)
