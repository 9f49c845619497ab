"""Posting to a destination of exports: one connection that is kept, one deadline for the whole of it, no redirects."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

MOST_ANSWER = 65_536
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What was answered. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@contextmanager
def plain_errors() -> Iterator[None]:
    """What the HTTP library raises is an `OSError`: nothing was answered, in time or not the whole of it."""
    try:
        yield
    except httpx.TimeoutException:
        raise TimeoutError("no answer in time") from None
    except (httpx.TransportError, httpx.DecodingError, httpx.InvalidURL) as error:
        raise ConnectionError(str(error) or type(error).__name__) from None


class Poster:
    """Blocks. Connects when something is posted first; one thread at a time."""

    def __init__(self, timeout: float, verify: str | bool = True, cert: tuple[str, str] | None = None) -> None:
        """`timeout` in seconds, for a whole exchange; `verify` may name a file of certificate authorities."""
        self._timeout = timeout
        tls = httpx.create_ssl_context(verify, cert=cert)
        self.client = httpx.Client(timeout=timeout, verify=tls, follow_redirects=False)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        """Send it, and read the answer. Raises `OSError`, where there is none in time, or not a whole one."""
        ends = time.monotonic() + self._timeout
        read = bytearray()
        with plain_errors(), self.client.stream("POST", url, content=body, headers=dict(headers)) as answer:
            for chunk in answer.iter_bytes():
                read += chunk
                if time.monotonic() > ends:
                    raise TimeoutError(f"no whole answer within {self._timeout:g} s")
                if len(read) > MOST_ANSWER:
                    break
        return Posted(answer.status_code, answer.headers, bytes(read[:MOST_ANSWER]))

    def close(self) -> None:
        """Give the connection back."""
        self.client.close()
