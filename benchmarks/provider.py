"""Providers for benchmarks: nginx that answers at once, and a process that answers late. And a catalog of them."""

import contextlib
import json
import secrets
import shutil
import socket
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import Child, child, wait_until
from benchmarks.report import BenchmarkError

ANSWER = {
    "id": "chatcmpl-CGm1q9bVxJx0kYl3Xo6yQ3mZr2T7s",
    "object": "chat.completion",
    "created": 1796000000,
    "model": "bench-mini-2026-11-01",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": (
                    "Here is the summary you asked for:\n\n1. The shipment left on Monday and is in the sorting "
                    "center.\n2. Revenue rose by four percent; churn did not change.\n3. Two rows of the second "
                    "table do not add up and have to be checked.\n4. The meeting is on Thursday at ten; the auditors "
                    "have not confirmed.\n5. Nobody has taken the open question about the invoices yet."
                ),
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 187,
        "completion_tokens": 84,
        "total_tokens": 271,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_b4ce9d3a21",
}

_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 32768; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  keepalive_timeout 75s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      default_type application/json;
      add_header x-request-id $request_id;
      return 200 '{answer}';
    }}
  }}
}}
"""

_PRICES = ("0.05 0.20", "0.10 0.40", "0.15 0.60", "0.25 1.25", "0.40 1.60", "0.80 3.20", "1.00 5.00", "1.25 10.00",
           "2.00 8.00", "2.50 12.00", "3.00 15.00", "5.00 25.00")  # fmt: skip


@contextlib.contextmanager
def nginx() -> Iterator[tuple[str, Child]]:
    """An OpenAI-compatible server that takes no time: its base URL and its process."""
    binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if binary is None:
        raise BenchmarkError("nginx is missing; it plays the provider (Debian: apt-get install nginx-light)")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as folder:
        Path(folder).chmod(0o755)
        config = Path(folder) / "nginx.conf"
        config.write_text(_NGINX.format(folder=folder, port=port, answer=_quoted(json.dumps(ANSWER))))
        with child("nginx (provider)", [binary, "-p", folder, "-c", str(config), "-e", "stderr"]) as process:
            wait_until(lambda: listens(port), "nginx", [process])
            yield f"http://127.0.0.1:{port}/v1", process


@contextlib.contextmanager
def slow_provider(seconds: float) -> Iterator[tuple[str, Child]]:
    """An OpenAI-compatible server that answers every call after `seconds`: its base URL and its process."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.slow_provider", str(port), str(seconds)]
    with child("slow provider", command) as process:
        wait_until(lambda: listens(port), "the slow provider", [process])
        yield f"http://127.0.0.1:{port}/v1", process


@contextlib.contextmanager
def catalog_file(base_url: str) -> Iterator[Path]:
    """A catalog of a dozen deployments that all lead to `base_url`; the cheapest that fits is always the same one."""
    with tempfile.TemporaryDirectory(prefix="bench-catalog-") as folder:
        path = Path(folder) / "catalog.toml"
        provider = f'[providers.bench]\nadapter = "openai"\nbase_url = "{base_url}"\n'
        path.write_text(provider + "".join(_deployment(i, *price.split()) for i, price in enumerate(_PRICES)))
        yield path


@contextlib.contextmanager
def provider_process(module: str, deployments: str) -> Iterator[tuple[str, Path]]:
    """A provider that is a module of the benchmarks: its address, and a catalog with these deployments of it."""
    port = free_port()
    command = [sys.executable, "-m", module, str(port)]
    with tempfile.TemporaryDirectory(prefix="bench-catalog-") as folder, child("provider", command) as process:
        wait_until(lambda: listens(port), "the provider", [process])
        base_url = f"http://127.0.0.1:{port}"
        path = Path(folder) / "catalog.toml"
        path.write_text(f'[providers.bench]\nadapter = "openai"\nbase_url = "{base_url}/v1"\n{deployments}')
        yield base_url, path


def deployment_of(model: str, price: tuple[object, object], more: str = "max_in_flight = 20_000") -> str:
    """An entry for the catalog file: a deployment of one of the provider's models; prices are USD per million."""
    entry = f"""
[[deployment]]
id = "bench/{model}@us"
upstream_model = "{model}"
context_window = 128_000
max_output = 16_384
price = {{ input = "{price[0]}", output = "{price[1]}", as_of = "2026-11-01" }}
tier = "economy"
"""
    return f"{entry}{more}\n"


def another_deployment(number: int) -> str:
    """One more entry for the catalog file, dearer than all others."""
    return _deployment(len(_PRICES) + number, "90.00", "90.00")


def free_port(wanted: int = 0) -> int:
    """A port of 127.0.0.1 that nobody listens on; raises `OSError` where it has to be `wanted`, and is not free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", wanted))
        port: int = probe.getsockname()[1]
        return port


def free_range(count: int) -> int:
    """The first of so many ports that nobody listens on, and that no connection gets by itself."""
    while True:
        first = 15_000 + secrets.randbelow(15_000)
        with contextlib.suppress(OSError):
            for port in range(first, first + count):
                free_port(port)
            return first


def _deployment(number: int, price_in: str, price_out: str) -> str:
    # An id for each; some in the EU, some small, some without tools: what the filters have to look at.
    region = "eu" if number % 3 == 2 else "us"
    return textwrap.dedent(
        f"""
        [[deployment]]
        id = "bench/model-{number}@{region}"
        context_window = {(64_000, 128_000, 400_000, 1_000_000)[number % 4]}
        max_output = {(4_096, 16_384, 32_768)[number % 3]}
        price = {{ input = "{price_in}", output = "{price_out}", as_of = "2026-11-01" }}
        tier = "{("economy", "standard", "premium")[min(2, number // 4)]}"
        capabilities = {["json_mode", "tools", "vision"][: 1 + number % 3]}
        max_in_flight = 20_000
        """
    )


def _quoted(text: str) -> str:
    """`text` as it stands between single quotes in nginx's configuration."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def listens(port: int) -> bool:
    """Whether somebody listens on a port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
