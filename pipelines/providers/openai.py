"""The adapter for OpenAI's chat completions, and for every server that speaks them.

aiohttp, because it costs a twentieth of httpx's CPU per call. The call is made exactly once here: aiohttp repeats
only idempotent methods, and what to do after a failure is heal's business.
"""

import io
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import aiohttp
import orjson
from yarl import URL

from pipelines.providers.http_failures import failure_of, read_error, shown
from pipelines.providers.openai_wire import check_options, decode, encode
from pipelines.providers.protocol import Call
from synthralos.credentials import Credentials
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure, FailureClass

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of an answer that are read at most; a longer one is ambiguous."""

MAX_ERROR = 1024 * 1024
"""Bytes of an error answer that are read at most; the reason in a longer one is not looked at."""

CONNECT_TIMEOUT = 10.0
"""Seconds to connect in, or half of the call's own timeout where that is shorter: a call that ran out of time
before anything was sent must not look like one that may have been billed."""

KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept: less than the 5 s of uvicorn, the shortest among common servers, because
a call on a connection that the server has just closed is ambiguous."""

LARGE_BODY = 1024 * 1024
"""Bytes from which on aiohttp wants a body as a stream, so that writing it does not hold up the loop."""

_MAX_TOKENS_FIELDS = ("max_completion_tokens", "max_tokens")
_OPENAI_HOSTS = ("openai.com", "openai.azure.com")


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """What all calls to one deployment have in common."""

    deployment: Deployment
    url: URL
    headers: dict[str, str]
    max_tokens_field: str
    key: str | None


class OpenAIProvider:
    """Speaks chat completions to any base URL, over one shared pool of connections that opens with the first call.

    A deployment's `options` may hold `max_tokens_field`: `max_completion_tokens` (OpenAI's and Azure's default
    here) or `max_tokens` (every other server's).
    """

    def __init__(self, credentials: Credentials, max_answer: int = MAX_ANSWER) -> None:
        self._credentials = credentials
        self._max_answer = max_answer
        self._session: aiohttp.ClientSession | None = None
        self._endpoints: dict[str, _Endpoint] = {}

    async def call(self, call: Call) -> Reply | Failure:
        """Make the call and wait for its end, at most `call.timeout` seconds."""
        missing = self._credentials.why_not_offered(call.deployment)
        if missing is not None:
            return Failure(FailureClass.CREDENTIAL, missing)
        try:
            endpoint = self._endpoint(call.deployment)
        except ValueError as error:
            return Failure(FailureClass.INTERNAL, f"the catalog's entry is wrong: {shown(str(error))}")
        refused = check_options(call.request.provider_options.get(call.deployment.provider, {}))
        if refused:
            field, problem = refused[0]
            return Failure(FailureClass.INVALID_REQUEST, f"provider option {field} {problem}")
        try:
            body = encode(call.request, call.deployment, endpoint.max_tokens_field)
        except orjson.JSONEncodeError as error:
            return Failure(FailureClass.INVALID_REQUEST, f"the request cannot be written as JSON: {shown(str(error))}")
        return await self._exchange(call, endpoint, body)

    async def close(self) -> None:
        """Close the connections. A later call would open new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _exchange(self, call: Call, endpoint: _Endpoint, body: bytes) -> Reply | Failure:
        """Send and read. Which exception tells that nothing was sent decides whether it may have been billed."""
        try:
            async with self._open_session().post(
                endpoint.url,
                data=body if len(body) < LARGE_BODY else io.BytesIO(body),
                headers=_headers(call, endpoint),
                timeout=aiohttp.ClientTimeout(total=call.timeout, connect=min(CONNECT_TIMEOUT, call.timeout / 2)),
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    return await _refusal(response, endpoint)
                answer = await _read(response, self._max_answer)
                if answer is None:
                    return Failure(
                        FailureClass.AMBIGUOUS, f"the answer is longer than {self._max_answer} bytes", http_status=200
                    )
                return decode(answer, _request_id(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Failure(FailureClass.CONNECTION, f"could not connect to {endpoint.url.host}: {_named(error)}")
        except TimeoutError:
            return Failure(FailureClass.TIMEOUT, f"no answer within {call.timeout:g} s; it may have been billed")
        except aiohttp.ClientError as error:
            return Failure(
                FailureClass.AMBIGUOUS,
                f"the connection was lost after sending: {_named(error)}; it may have been billed",
            )

    def _endpoint(self, deployment: Deployment) -> _Endpoint:
        endpoint = self._endpoints.get(deployment.id)
        if endpoint is None or endpoint.deployment is not deployment:
            endpoint = self._endpoints[deployment.id] = _endpoint(deployment, self._credentials.key_for(deployment))
        return endpoint

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "User-Agent": "synthralos",
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    "Content-Type": "application/json",
                },
            )
        return self._session


def check_deployment(deployment: Deployment) -> None:
    """Raise `ValueError` for a deployment that this adapter cannot call, naming the field."""
    if not deployment.base_url:
        raise ValueError("base_url: is missing")
    unknown = sorted(set(deployment.options) - {"max_tokens_field"})
    if unknown:
        raise ValueError(f"options.{unknown[0]}: unknown key")
    _max_tokens_field(deployment)


def _max_tokens_field(deployment: Deployment) -> str:
    chosen = deployment.options.get("max_tokens_field")
    if chosen is None:
        host = URL(deployment.base_url).host or ""
        return _MAX_TOKENS_FIELDS[0] if host.endswith(_OPENAI_HOSTS) else _MAX_TOKENS_FIELDS[1]
    if chosen not in _MAX_TOKENS_FIELDS:
        raise ValueError(f"options.max_tokens_field: must be one of {', '.join(_MAX_TOKENS_FIELDS)}")
    return str(chosen)


def _endpoint(deployment: Deployment, key: str | None) -> _Endpoint:
    return _Endpoint(
        deployment=deployment,
        url=URL(f"{deployment.base_url}/chat/completions"),
        headers={} if key is None else {"Authorization": f"Bearer {key}"},
        max_tokens_field=_max_tokens_field(deployment),
        key=key,
    )


def _headers(call: Call, endpoint: _Endpoint) -> dict[str, str]:
    attempt = f"{call.job_id}/{call.attempt_no}"
    return {
        **endpoint.headers,
        "traceparent": call.traceparent,
        "x-request-id": call.job_id,
        "X-Client-Request-Id": attempt,
        "Idempotency-Key": attempt,
    }


async def _refusal(response: aiohttp.ClientResponse, endpoint: _Endpoint) -> Failure:
    """The failure that an error answer stands for. Its status counts even where its body cannot be read."""
    try:
        body = await _read(response, MAX_ERROR)
    except (aiohttp.ClientError, TimeoutError):
        body = None
    if body and endpoint.key:
        body = body.replace(endpoint.key.encode(), b"***")
    failure = failure_of(response.status, response.headers, read_error(body), datetime.now(UTC))
    if failure.failure_class is not FailureClass.CREDENTIAL:
        return failure
    # Providers repeat parts of the key in these texts, with their own masking.
    refused = endpoint.deployment.api_key_env or "a call without a key"
    return replace(failure, message=f"HTTP {response.status}: the provider refused {refused}")


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The body, or None where it is longer than `limit` bytes."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _request_id(response: aiohttp.ClientResponse) -> str | None:
    return response.headers.get("x-request-id") or response.headers.get("request-id")


def _named(error: Exception) -> str:
    return shown(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
