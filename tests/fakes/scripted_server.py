"""A real HTTP server whose answers a test scripts, and that remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """One response. `drop`: the connection is cut after `body`, or before anything where `status` is 0."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False


DROPPED = Answer(status=0, drop=True)

Script = Callable[[Asked], Answer]


class ScriptedServer:
    """Answers with `script`, which may be replaced at any time. `asked` holds the requests in order."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: Script = lambda asked: Answer(404, {"title": "nothing is scripted"})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer_in_turn(self, *answers: Answer) -> None:
        """Give these answers one after another, and the last one for ever."""
        left = list(answers)
        self.script = lambda asked: left.pop(0) if len(left) > 1 else left[0]

    @contextmanager
    def running(self) -> Iterator["ScriptedServer"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
                owner.asked.append(asked)
                self.give(owner.script(asked))

            do_GET = do_POST = do_PUT = do_DELETE = respond  # noqa: N815 - the names that the base class looks for

            def give(self, answer: Answer) -> None:
                self.close_connection = answer.drop
                if answer.status == 0:
                    return
                raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                kind = "application/json" if answer.status < 400 else "application/problem+json"
                for name, value in {"Content-Type": kind, **answer.headers}.items():
                    self.send_header(name, value)
                # More announced than sent: what was read is good, and that the connection broke is plain.
                self.send_header("Content-Length", str(len(raw) + (1 if answer.drop else 0)))
                self.end_headers()
                # A client that has gone is what some tests are about.
                with suppress(ConnectionError):
                    self.wfile.write(raw)
                    self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    with ScriptedServer().running() as server:
        yield server
