"""What all adapters over HTTP share: the call, who it is from, and what its end means.

The call is made exactly once here: what to do after a failure is heal's business.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial

import orjson

from pipelines.providers.http_failures import failure_of, read_error, shown
from pipelines.providers.options import FIRST_TOKEN_SECONDS, IDLE_SECONDS, OptionRules, stream_seconds
from pipelines.providers.protocol import Call, Cancel, Done, end_soon, failure_of_bug
from pipelines.providers.rate_headers import left_in
from pipelines.providers.streamed_call import Patience, Reading, StreamedCall, in_one_piece
from pipelines.providers.transport import protocol as http
from pipelines.providers.transport.client import Client
from pipelines.providers.wire import Decode, NotTaken, Wire
from synthralos.config.credentials import CredentialsNow
from synthralos.config.key_sources import Key
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure, FailureClass

CONNECT_TIMEOUT = 10.0
"""Seconds to connect in, or half of the call's own timeout where that is shorter: a call that ran out of time
before anything was sent must not look like one that may have been billed."""

LONGEST_IDLE = 60.0
"""Seconds that a stream may stand still after its first token, where the deployment says nothing of `idle_seconds`."""

HEADERS = (
    ("User-Agent", "synthralos"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "identity"),
    ("Content-Type", "application/json"),
)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """What all calls to one deployment with one key have in common."""

    deployment: Deployment
    whole: http.Endpoint
    wire: Wire
    key: Key | None
    streamed: http.Endpoint | None = None


class HttpProvider:
    """Calls any base URL, over one shared pool of connections that opens with the first call."""

    def __init__(
        self,
        wire_of: Callable[[Deployment, str | None], Wire],
        rules: OptionRules,
        credentials: CredentialsNow,
        client: Client | None = None,
    ) -> None:
        """`wire_of` makes a deployment's wire with a key for it; it raises `ValueError` where it cannot."""
        self._wire_of = wire_of
        self._rules = rules
        self._credentials = credentials
        self._client = client or Client()
        self._endpoints: dict[tuple[str, str | None], _Endpoint] = {}

    def begin(self, call: Call, done: Done) -> Cancel:
        """Make the call, at most `call.timeout` seconds long; see `Provider`."""
        prepared = self._prepare(call)
        if isinstance(prepared, Failure):
            return end_soon(prepared, done)
        endpoint, request = prepared
        if call.on_delta is None:
            return self._client.begin(request, partial(_ended, call, endpoint, done))
        return self._begin_streamed(call, endpoint, request, done)

    def _begin_streamed(self, call: Call, endpoint: _Endpoint, request: http.Request, done: Done) -> Cancel:
        if endpoint.wire.stream is None:
            return self._client.begin(request, partial(_ended, call, endpoint, in_one_piece(call, done)))
        decode = endpoint.wire.decode_for(call.request)
        reading = Reading(partial(_read, endpoint, decode), decode, partial(_masked, endpoint))
        told = partial(_told, endpoint, done)
        streamed = StreamedCall(call, endpoint.wire.stream.assembly(), reading, told, _patience(call.deployment))
        request.on_piece = streamed.piece
        return streamed.started(self._client.begin(request, streamed.ended))

    async def close(self) -> None:
        """Close the connections. A later call would open new ones."""
        await self._client.close()

    def _prepare(self, call: Call) -> tuple[_Endpoint, http.Request] | Failure:
        endpoint = self._endpoint(call.deployment, call.credential)
        if isinstance(endpoint, Failure):
            return endpoint
        options = call.request.provider_options.get(call.deployment.provider, {})
        refused = self._rules.check(options, endpoint.wire.widened)
        if refused:
            field, problem = refused[0]
            return Failure(FailureClass.UNSUPPORTED, f"provider option {field} {problem}")
        stream = endpoint.wire.stream if call.on_delta is not None else None
        try:
            body = (endpoint.wire if stream is None else stream).encode(call.request)
        except NotTaken as refusal:
            return Failure(FailureClass.UNSUPPORTED, shown(str(refusal)))
        except orjson.JSONEncodeError as error:
            return Failure(FailureClass.INVALID_REQUEST, f"the request cannot be written as JSON: {shown(str(error))}")
        if stream is None or endpoint.streamed is None:
            return endpoint, http.Request(endpoint.whole, _headers(call), body, _timeouts(call.timeout))
        return endpoint, http.Request(endpoint.streamed, _headers(call), body, _timeouts(call.timeout))

    def _endpoint(self, deployment: Deployment, credential: str | None) -> _Endpoint | Failure:
        credentials = self._credentials()
        if credential is None:
            credential = next(iter(credentials.names_for(deployment)), None)
        key = credentials.key(credential)
        endpoint = self._endpoints.get((deployment.id, credential))
        if endpoint is not None and endpoint.deployment is deployment and endpoint.key == key:
            return endpoint
        missing = credentials.why_not_offered(deployment)
        if missing is not None:
            return Failure(FailureClass.CREDENTIAL, missing)
        if credential is not None and key is None:
            return Failure(FailureClass.CREDENTIAL, f"there is no credential {credential} any more")
        try:
            endpoint = self._endpoints[deployment.id, credential] = self._new_endpoint(deployment, key)
        except ValueError as error:
            return Failure(FailureClass.INTERNAL, f"the deployment cannot be called: {shown(str(error))}")
        return endpoint

    def _new_endpoint(self, deployment: Deployment, key: Key | None) -> _Endpoint:
        wire = self._wire_of(deployment, None if key is None else key.value.get_secret_value())
        headers = (*HEADERS, *wire.headers)
        streamed = None if wire.stream is None else self._client.endpoint("POST", wire.stream.url, headers)
        return _Endpoint(deployment, self._client.endpoint("POST", wire.url, headers), wire, key, streamed)


def _headers(call: Call) -> http.HeaderFields:
    attempt = f"{call.job_id}/{call.attempt_no}"
    if call.others:  # another call than that of its first job alone, which may follow it
        attempt += f"+{call.others}"
    return (
        ("traceparent", call.traceparent),
        ("x-request-id", call.job_id),
        ("X-Client-Request-Id", attempt),
        ("Idempotency-Key", attempt),
    )


@lru_cache
def _timeouts(seconds: float) -> http.Timeouts:
    """An answer that is not streamed comes in one piece: how long the model thinks is all that there is to wait for."""
    return http.Timeouts(min(CONNECT_TIMEOUT, seconds / 2), first_byte=seconds, idle=seconds, total=seconds)


def _patience(deployment: Deployment) -> Patience:
    first, idle = (stream_seconds(deployment.options, name) for name in (FIRST_TOKEN_SECONDS, IDLE_SECONDS))
    return Patience(deployment.timeout if first is None else first, LONGEST_IDLE if idle is None else idle)


def _told(endpoint: _Endpoint, done: Done, answer: Reply | Failure) -> None:
    done(_discreet(endpoint, answer) if isinstance(answer, Failure) else answer)


def _ended(call: Call, endpoint: _Endpoint, done: Done, result: http.Result) -> None:
    try:
        answer = _read(endpoint, endpoint.wire.decode_for(call.request), result)
    except Exception as error:  # noqa: BLE001 - the edge of the loop, where the call would have no end; it is logged
        answer = failure_of_bug(call, error)
    done(answer)


def _read(endpoint: _Endpoint, decode: Decode, result: http.Result) -> Reply | Failure:
    if isinstance(result, http.TransportFailure):
        return _failure(endpoint, result)
    if result.status != 200:
        return _refusal(endpoint, result.status, result.headers, result.body)
    headers, limits = _named(result.headers), left_in(result.headers)
    answer = decode(result.body, headers)
    if isinstance(answer, Failure):
        answer = decode(_masked(endpoint, result.body), headers)
    if isinstance(answer, Failure):
        return _discreet(endpoint, replace(answer, limits=limits) if limits else answer)
    answer.limits = limits
    return answer


def _failure(endpoint: _Endpoint, failure: http.TransportFailure) -> Failure:
    """Whether anything was sent decides whether it may have been billed. An error counts by its status, once known."""
    message = shown(failure.message)
    if failure.status is not None and failure.status != 200:
        return _refusal(endpoint, failure.status, failure.headers, None)
    if failure.kind is http.Kind.REFUSED:
        return Failure(FailureClass.INTERNAL, message)
    if not failure.sent:
        return Failure(FailureClass.CONNECTION, message)
    failure_class = FailureClass.TIMEOUT if failure.kind is http.Kind.TIMEOUT else FailureClass.AMBIGUOUS
    return Failure(failure_class, f"{message}; it may have been billed", http_status=failure.status)


def _refusal(endpoint: _Endpoint, status: int, headers: http.Headers, body: bytes | None) -> Failure:
    """The failure that an error answer stands for. None: no body was read."""
    error = read_error(_masked(endpoint, body or b""))
    failure = failure_of(status, _named(headers), error, datetime.now(UTC))
    limits = left_in(headers)
    return _discreet(endpoint, replace(failure, limits=limits) if limits else failure)


def _masked(endpoint: _Endpoint, body: bytes) -> bytes:
    return body.replace(endpoint.key.value.get_secret_value().encode(), b"***") if endpoint.key else body


def _discreet(endpoint: _Endpoint, failure: Failure) -> Failure:
    """A refused key's failure without the provider's text: providers repeat parts of the key, masked in their way."""
    if failure.failure_class is not FailureClass.CREDENTIAL:
        return failure
    refused = "a call without a key" if endpoint.key is None else f"the credential {endpoint.key.name}"
    return replace(failure, message=f"HTTP {failure.http_status}: the provider refused {refused}")


def _named(headers: http.Headers) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
