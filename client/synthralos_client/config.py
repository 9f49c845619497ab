"""Where the server is and who we are: from arguments, else from SYNTHRALOS_URL and SYNTHRALOS_API_KEY."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

from synthralos_client.errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:8080"

_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})

_SENDABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Config:
    """Address, key and patience of a client. `timeout` is in seconds and per request, without the waiting asked for."""

    base_url: str
    api_key: str | None = field(repr=False)
    timeout: float
    max_retries: int

    def authorization(self) -> dict[str, str]:
        """The header that carries the key; raises `ConfigurationError` where there is none."""
        if self.api_key is None:
            raise ConfigurationError("no API key: pass api_key=… or set SYNTHRALOS_API_KEY")
        return {"Authorization": f"Bearer {self.api_key}"}


def on_the_way(config: Config, verify: ssl.SSLContext | bool) -> dict[str, Any]:
    """How `httpx` gets to the server: this host is reached without a proxy, whatever the environment says.

    Raises `ConfigurationError`, which names the variables, where those of a proxy cannot be used.
    """
    address = urlsplit(config.base_url)
    direct = _is_loopback(address.hostname or "")
    if direct and address.scheme == "http" and not isinstance(verify, ssl.SSLContext):
        # It meets no certificate: reading all authorities takes longer than a call. This one trusts none.
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = verify if isinstance(verify, ssl.SSLContext) else httpx.create_ssl_context(verify=verify)
    options: dict[str, Any] = {"verify": context, "trust_env": not direct}
    try:
        httpx.Client(**options).close()
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        found = ", ".join(name for name in os.environ if name.lower() in _PROXIES)
        raise ConfigurationError(f"{found or 'the proxy'} cannot be used: {error}") from error
    return options


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def configure(base_url: str | None, api_key: str | None, timeout: float, max_retries: int) -> Config:
    """The configuration of a client; raises `ConfigurationError`."""
    url = (base_url or os.environ.get("SYNTHRALOS_URL") or DEFAULT_URL).strip().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{url!r} is no address of a server: use one such as {DEFAULT_URL}")
    key = (api_key or os.environ.get("SYNTHRALOS_API_KEY") or "").strip()
    if key and not _SENDABLE.fullmatch(key):
        raise ConfigurationError("the API key holds characters that no key has: copy it again")
    return Config(url, key or None, timeout, max_retries)
