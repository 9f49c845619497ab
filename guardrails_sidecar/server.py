"""The sidecar's HTTP server: `POST /v1/validate` shows texts to a guard, `GET /health` says that it is there.

A request is `{"guard": "input" | "output", "texts": […], "seconds": 2.0}`, an answer `{"results": […]}` with what
`guards.Said` describes for each text, in order. What is wrong is answered with `{"problem": …}`.
"""

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrails_sidecar.configuration import SIDES, ConfigurationProblem, read

if TYPE_CHECKING:
    from guardrails_sidecar.guards import SideGuard

MOST_BYTES = 64 * 1024 * 1024
"""Of a request's body."""

MOST_REQUESTS = 32
"""That are worked on at once: validators share one processor, and more would only be late together."""

IDLE_SECONDS = 30.0
"""For so long a connection may say nothing: longer than clients keep one that is idle."""

_WRONG_SETTING = 3
"""The exit status of `synthralos` for a setting that is wrong."""


class Reply(NamedTuple):
    """An HTTP status and the body's JSON value."""

    status: int
    body: dict[str, Any]


class Sidecar(ThreadingHTTPServer):
    """A thread for each connection, as many as `MOST_REQUESTS` requests at once."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], guards: Mapping[str, "SideGuard"], about: Mapping[str, Any]) -> None:
        self.guards = guards
        self.about = dict(about)
        self.places = threading.BoundedSemaphore(MOST_REQUESTS)
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def validate(self, raw: bytes) -> Reply:
        """The answer to the body of `POST /v1/validate`."""
        try:
            asked = json.loads(raw)
            guard, texts, seconds = self.guards[asked["guard"]], asked["texts"], float(asked["seconds"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return Reply(400, {"problem": f"must be JSON with guard ({' or '.join(SIDES)}), texts and seconds"})
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return Reply(400, {"problem": "texts must be a list of texts"})
        if not self.places.acquire(blocking=False):
            return Reply(503, {"problem": f"{MOST_REQUESTS} requests are under way"})
        try:
            return Reply(200, {"results": guard.check(texts, seconds)})
        finally:
            self.places.release()


class _Handler(BaseHTTPRequestHandler):
    server: Sidecar
    protocol_version = "HTTP/1.1"
    server_version = "synthralos-guardrails"
    timeout = IDLE_SECONDS
    # The head and the body of an answer are two writes: without this the second one waits for an acknowledgment.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        found = self.path == "/health"
        self._reply(Reply(200, self.server.about) if found else Reply(404, {"problem": "there is GET /health"}))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > MOST_BYTES:
            self.close_connection = True  # what follows is not read
            self._reply(Reply(413, {"problem": f"a body needs a Content-Length of at most {MOST_BYTES}"}))
            return
        raw = self.rfile.read(int(length))
        if self.path != "/v1/validate":
            self._reply(Reply(404, {"problem": "there is POST /v1/validate"}))
        elif self.headers.get_content_type() != "application/json":  # so no page in a browser can ask
            self._reply(Reply(415, {"problem": "the body must be application/json"}))
        else:
            self._reply(self.server.validate(raw))

    def _reply(self, reply: Reply) -> None:
        body = json.dumps(reply.body, ensure_ascii=True).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        logging.getLogger(__name__).debug(format, *args)


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    options = _options(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    # Validators of the operator's own may lie beside the file; last, so that they shadow nothing.
    sys.path.append(str(options.config.parent))
    try:
        wanteds = read(options.config)
        from guardrails_sidecar.guards import build  # noqa: PLC0415 - takes seconds: a wrong file is told of before

        guards = build(wanteds)
    except ConfigurationProblem as problem:
        print(f"synthralos: {problem}", file=sys.stderr)
        return _WRONG_SETTING
    counts = {side: len(wanteds[side]) for side in SIDES}
    about = {"guardrails": metadata.version("guardrails-ai"), **counts}
    with Sidecar((options.host, options.port), guards, about) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        told = ", ".join(f"{count} for {side}s" for side, count in counts.items())
        where = f"http://{options.host}:{server.server_port}"
        print(f"guardrails-ai {about['guardrails']} listens on {where} with validators: {told}", flush=True)
        server.serve_forever(poll_interval=0.1)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="guardrails_sidecar")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8484)
    return parser.parse_args(arguments)
