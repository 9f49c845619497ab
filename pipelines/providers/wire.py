"""What an adapter over HTTP adds to what all of them share: how one deployment is spoken to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipelines.providers.assembly import Assembly
from pipelines.providers.transport.protocol import HeaderFields
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Request


class NotTaken(Exception):
    """A request that this deployment's protocol has no form for: another one may. Raised before anything is sent.

    The message names the field and says what to do: `seed: this API has none; leave it out`.
    """


@dataclass(frozen=True, slots=True)
class StreamWire:
    """The same protocol where the answer is to come as an event stream.

    `url` is what is posted to, with the body that `encode` gives; `assembly` makes what puts one answer together.
    """

    url: str
    encode: Callable[[Request], bytes]
    assembly: Callable[[], Assembly]


Decode = Callable[[bytes, Mapping[str, str]], Reply | Failure]
"""Reads the body and the headers (names in lower case) of an answer of status 200."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One deployment's side of a wire protocol.

    `url` is what is posted to; `headers` are the protocol's own, with the key. `encode` gives the body of a call and
    raises `NotTaken`, or `orjson.JSONEncodeError` for what JSON cannot hold. `decode_for` gives what reads the answer
    to a request.
    """

    url: str
    headers: HeaderFields = field(repr=False)
    encode: Callable[[Request], bytes]
    decode_for: Callable[[Request], Decode]
    stream: StreamWire | None = None
    """None: this deployment gives whole answers only."""
    widened: tuple[str, ...] = ()
    """Names of provider options that the catalog allows besides the adapter's own."""


def asking_to_stream(encode: Callable[[Request], bytes], more: bytes = b"") -> Callable[[Request], bytes]:
    """The bodies of `encode`, which are JSON objects that are not empty, with `stream` and `more` members."""
    return lambda request: encode(request)[:-1] + b',"stream":true' + more + b"}"


def always(decode: Decode) -> Callable[[Request], Decode]:
    """For answers that are read alike, whatever was asked."""
    return lambda _: decode
