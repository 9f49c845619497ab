"""What the transport takes and gives: a request, its time-outs, and what becomes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pipelines.providers.transport.pool import Route

HeaderFields: TypeAlias = Sequence[tuple[str, str]]
"""(name, value) each, as they go out."""

Headers: TypeAlias = dict[bytes, bytes]
"""An answer's header fields by their lower-case names; what came several times is joined with a comma."""


class Timeouts(NamedTuple):
    """Seconds.

    `connect` is for everything before the request can be written: name, TCP, proxy, TLS. `first_byte` runs from
    when the request is written (from when its last part went to the system, where it is long) to the answer's
    first byte, `idle` from one piece of the answer to the next, `total` over all.
    """

    connect: float
    first_byte: float
    idle: float
    total: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes that are read at most: of an answer of status 200, of any other answer, of all that is no body."""

    answer: int = 32 * 1024 * 1024
    error: int = 1024 * 1024
    head: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What all requests to one address have in common: the way there, and the first lines of their head.

    The head may hold a key, and is not shown.
    """

    route: "Route"
    head: bytes = field(repr=False)


@dataclass(slots=True)
class Request:
    """One request: `headers` are those that the endpoint's head does not have yet."""

    endpoint: Endpoint
    headers: HeaderFields
    body: bytes
    timeouts: Timeouts
    on_piece: "OnPiece | None" = None
    """Gets the body of an event stream of status 200 while it comes; the answer's own body is empty then."""


@dataclass(slots=True)
class Answer:
    """A whole answer, its body decoded."""

    status: int
    headers: Headers
    body: bytes


class Kind(StrEnum):
    """Why there is no whole answer."""

    REFUSED = "refused"
    """The request cannot be written down: a header field holds what none may hold."""
    CONNECT = "connect"
    """No connection, for whatever reason; too late counts too."""
    TIMEOUT = "timeout"
    LOST = "lost"
    """The connection broke off."""
    PROTOCOL = "protocol"
    """What came is not HTTP/1.1, or is encoded in a way that nobody asked for."""
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """Why there is no whole answer. `message` is for people.

    `sent`: whether the server may have got any byte of the request. `status` and `headers` are the answer's, where
    its head was read before the rest went wrong.
    """

    kind: Kind
    message: str
    sent: bool
    status: int | None = None
    headers: Headers = field(default_factory=dict)


OnPiece: TypeAlias = Callable[[bytes], None]
"""Called on the loop with the next bytes of a body. It may cancel the request."""
Result: TypeAlias = Answer | TransportFailure
Done: TypeAlias = Callable[[Result], None]
Cancel: TypeAlias = Callable[[], None]
