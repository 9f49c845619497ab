"""Where the server is and who we are: from arguments, else from SYNTHRALOS_URL and SYNTHRALOS_API_KEY."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from synthralos_client.errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:8080"

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
