"""What the pack's tests share: where its modules lie, and an API that answers as it is told."""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("actions", "sensors"):
    sys.path.insert(0, os.path.join(HERE, "..", folder))
# Last, so that StackStorm's own packages count where they are installed.
sys.path.append(os.path.join(HERE, "stubs"))


class FakeApi:
    """Answers each request with the next of the answers to it, the last one again and again.

    An answer is (status, document), or (status, document, headers); None closes the connection
    after the request was read. A function of the query stands for all answers.
    """

    def __init__(self):
        self.answers = {}
        self.requests = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def serve(self):
                """Note it, and answer it."""
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                path, _, query = self.path.partition("?")
                fake.requests.append((self.command, path, query, body, dict(self.headers)))
                told = fake.answers.get((self.command, path)) or [(404, {"detail": "nothing"})]
                if callable(told):
                    answer = told(query)
                else:
                    answer = told.pop(0) if len(told) > 1 else told[0]
                if answer is None:
                    self.close_connection = True
                    return
                sent = json.dumps(answer[1]).encode("utf-8")
                self.send_response(answer[0])
                for name, value in (answer[2] if len(answer) > 2 else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = do_PUT = do_DELETE = serve

            def log_message(self, *args):
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def config(self):
        """The pack's configuration for it."""
        url = "http://127.0.0.1:{}".format(self._server.server_port)
        return {"url": url, "api_key": "sk-syn-x", "timeout": 5, "connect_timeout": 5, "retries": 2}

    def asked(self, method, path):
        """The bodies of the requests to a path."""
        return [each[3] for each in self.requests if each[:2] == (method, path)]

    def close(self):
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def job(state="failed", **more):
    """A job as the API shows it."""
    return dict(
        {
            "id": "j1",
            "state": state,
            "trace_id": "t1",
            "run_id": None,
            "organization": "acme",
            "workspace": "main",
            "user": None,
            "model": "auto",
            "lane": "bulk",
            "stage": "execute",
            "created_at": "2026-01-31T11:00:00.000000Z",
            "finished_at": "2026-01-31T12:00:00.000000Z" if state == "failed" else None,
            "attempts": 2,
            "cost": {"usd": "0.1", "known": True, "maybe_billed_attempts": 0},
            "failure": {"class": "timeout", "message": "too slow"} if state == "failed" else None,
            "request": {"prompt": "secret"},
        },
        **more,
    )
