"""The servers that the tests use: where they are, whether they answer, and how to start them.

Standard library alone, so that `.ci/run` can ask before anything is installed. Run as a script it prints the servers
that do not answer, one a line, and exits 1 when there are any.
"""

import os
import socket
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Server:
    """One server: the variable that says where it is, and a greeting with the first bytes of a healthy answer."""

    name: str
    variable: str
    default_url: str
    greeting: bytes
    answers: tuple[bytes, ...]
    start: str

    @property
    def url(self) -> str:
        """Where the tests look for it."""
        return os.environ.get(self.variable, self.default_url)

    def answers_now(self, timeout: float = 3.0) -> bool:
        """Whether it speaks its protocol at `url` within `timeout` seconds."""
        where = urlsplit(self.url)
        default = urlsplit(self.default_url)
        try:
            with socket.create_connection(
                (where.hostname or "127.0.0.1", where.port or default.port), timeout
            ) as connection:
                connection.settimeout(timeout)
                connection.sendall(self.greeting)
                return connection.recv(16).startswith(self.answers)
        except OSError:
            return False


POSTGRESQL = Server(
    name="PostgreSQL",
    variable="TEST_DATABASE_URL",
    default_url="postgresql://postgres@127.0.0.1:5432/postgres",
    greeting=bytes.fromhex("0000000804d2162f"),  # SSLRequest: the only question that needs no user
    answers=(b"S", b"N"),
    start="pg_ctlcluster 15 main start (Debian), with a role that may create databases",
)
RABBITMQ = Server(
    name="RabbitMQ",
    variable="TEST_AMQP_URL",
    default_url="amqp://guest:guest@127.0.0.1:5672/",
    greeting=b"AMQP\x00\x00\x09\x01",
    answers=(b"\x01",),
    start="rabbitmq-server -detached, on this machine: the tests make their virtual hosts with rabbitmqctl, as root",
)
REDIS = Server(
    name="Redis",
    variable="TEST_REDIS_URL",
    default_url="redis://127.0.0.1:6379/0",
    greeting=b"PING\r\n",
    answers=(b"+PONG", b"-NOAUTH"),
    start="redis-server --daemonize yes",
)
SERVERS = (POSTGRESQL, RABBITMQ, REDIS)


def embedded_only() -> bool:
    """Whether this run leaves out every test that needs a server."""
    return bool(os.environ.get("SYNTHRALOS_TEST_EMBEDDED_ONLY"))


def missing() -> list[Server]:
    """The servers that do not answer."""
    return [server for server in SERVERS if not server.answers_now()]


def main() -> int:
    """Name what is missing, and how to start it or say where it is."""
    absent = missing()
    for server in absent:
        where = urlsplit(server.url)
        print(f"{server.name} does not answer at {where.hostname}:{where.port or ''}. Start it: {server.start};")
        print(f"  or say where it is with {server.variable}.")
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())
