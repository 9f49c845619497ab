"""The fake provider server as a process of its own, with a handle for tests that are not asynchronous."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.children import child
from tests.fakes.dialects import OPENAI
from tests.fakes.plain_http import NO_TLS

ROOT = Path(__file__).resolve().parents[2]


class FakeOpenAIProcess:
    """Talks to a running server. `url` is the server's, `base_url` what a client needs."""

    def __init__(self, url: str, client: httpx.Client, process: subprocess.Popen[str]) -> None:
        self.url = url
        self.process = process
        self.base_url = f"{url}{OPENAI.base}"
        self._client = client

    def behave(self, model: str | None = None, **behavior: Any) -> None:
        """Treat calls to `model` (None: to any other) as `Behavior` says."""
        self._client.post("/control", json={"model": model, "behavior": behavior}).raise_for_status()

    def reset(self) -> None:
        """Treat all calls well again."""
        self._client.post("/control", json={"reset": True}).raise_for_status()

    def release(self) -> None:
        """Let every call that hangs go on."""
        self._client.post("/release").raise_for_status()

    def wait_for_calls(self, calls: int, timeout: float = 60.0) -> None:
        """Return when that many calls have arrived in all; raises `httpx.TimeoutException` after `timeout` seconds."""
        self._client.get("/wait", params={"calls": calls}, timeout=timeout).raise_for_status()

    def bill(self) -> list[dict[str, Any]]:
        """Every call so far."""
        calls: list[dict[str, Any]] = self._client.get("/bill").raise_for_status().json()["calls"]
        return calls

    def peak(self) -> int:
        """The most calls at once since the last `reset`."""
        peak: int = self._client.get("/bill").raise_for_status().json()["peak"]
        return peak


@contextmanager
def fake_openai(bill: Path | None = None, port: int = 0) -> Iterator[FakeOpenAIProcess]:
    """Start the server, and stop it at the end."""
    command = [sys.executable, "-m", "tests.fakes.openai_server", "--port", str(port)]
    command += [] if bill is None else ["--bill", str(bill)]
    with child(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "the fake OpenAI server did not start"
            url = json.loads(line)["url"]
            with httpx.Client(verify=NO_TLS, base_url=url, timeout=30.0) as client:
                yield FakeOpenAIProcess(url, client, process)
        finally:
            process.terminate()
            process.wait(timeout=30)
