"""TCP ports for what has to be told one beforehand: none is given out twice, whoever tests on this machine."""

import atexit
import secrets
import socket
import sys
from contextlib import ExitStack

_PORTS = range(12_000, 32_000)
"""Below those from which the system takes one for a connection, or for whoever asks for any: nobody gets one of these
between the look and the use."""


def free_port() -> int:
    """A TCP port that nobody listens on, and that no other test is given while this process lives."""
    return free_ports(1)[0]


def free_ports(count: int) -> range:
    """So many such ports, one after the other."""
    while True:
        first = _PORTS.start + secrets.randbelow(len(_PORTS) - count)
        ports = range(first, first + count)
        with ExitStack() as claims:
            try:
                for port in ports:
                    _claim(claims, port)
            except OSError:
                continue
            atexit.register(claims.pop_all().close)
            return ports


def _claim(claims: ExitStack, port: int) -> None:
    """Hold a name that only one process of this machine can have, and see that nobody listens. Raises `OSError`."""
    if sys.platform == "linux":
        name = claims.enter_context(socket.socket(socket.AF_UNIX))
        name.bind(f"\0synthralos-test-port-{port}")
    with socket.create_server(("127.0.0.1", port)):
        pass
