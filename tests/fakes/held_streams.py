"""A real HTTP server of two models whose streams a test holds: before their first word, and after it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.streams import chunk, sse

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@dataclass
class Model:
    """One model's next answers: `first` lets their first word go, `rest` what follows; `broken`: nothing follows."""

    first: threading.Event = field(default_factory=threading.Event)
    rest: threading.Event = field(default_factory=threading.Event)
    came: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    broken: bool = False
    calls: int = 0


class HeldStreams:
    """The server; `models` by name. All are let go until a test holds them."""

    def __init__(self, *names: str) -> None:
        self.models = {name: Model() for name in names}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self.let_go()

    def let_go(self) -> None:
        """Hold nothing."""
        for model in self.models.values():
            model.first.set()
            model.rest.set()

    @contextmanager
    def running(self) -> Iterator["HeldStreams"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.let_go()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        models = self.models

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name = asked["model"]
                model = models[name]
                model.calls += 1
                model.came.set()
                self.close_connection = True
                try:
                    self.tell(name, model)
                except OSError:
                    model.gone.set()

            def tell(self, name: str, model: Model) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                if not self.waits(model.first):
                    raise BrokenPipeError
                self.say(chunk({"content": f"{name} says"}))
                if not self.waits(model.rest):
                    raise BrokenPipeError
                if not model.broken:
                    self.say(chunk({"content": " hello"}), chunk({}, "stop"), chunk(usage=USAGE), "[DONE]")

            def say(self, *events: Any) -> None:
                self.wfile.write(sse(events))
                self.wfile.flush()

            def waits(self, event: threading.Event) -> bool:
                """Wait for the test; False where the client has left meanwhile."""
                self.connection.settimeout(0.02)
                while not event.is_set():
                    try:
                        if not self.connection.recv(1):
                            return False
                    except TimeoutError:
                        continue
                self.connection.settimeout(60)
                return True

            def log_message(self, *args: object) -> None:
                pass

        return Handler
