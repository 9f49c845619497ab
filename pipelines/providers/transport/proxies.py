"""Which proxy leads to a server, by the environment's usual variables."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from pipelines.providers.transport.addresses import Origin, origin_of


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and what it wants to read in `Proxy-Authorization`."""

    origin: Origin
    authorization: str | None = None


class Proxies:
    """Proxies by the scheme of what is called (`http`, `https`, `all`), and in `no` what is called without one."""

    def __init__(self, table: Mapping[str, str] | None = None) -> None:
        self._table = dict(table or {})

    @classmethod
    def from_environment(cls) -> "Proxies":
        """`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; lower case wins over upper case."""
        return cls(getproxies_environment())

    def on_the_way_to(self, origin: Origin) -> Proxy | None:
        """The proxy to take; raises `ValueError` for one that we cannot talk to."""
        url = self._table.get(origin.scheme) or self._table.get("all")
        if not url or any(proxy_bypass_environment(name, self._table) for name in (origin.host, origin.authority)):
            return None
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            proxy = origin_of(parts)
        except ValueError:
            raise ValueError(f"the proxy for {origin.scheme} must be an http:// or https:// URL") from None
        if parts.username is None:
            return Proxy(proxy)
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return Proxy(proxy, f"Basic {b64encode(user.encode()).decode('ascii')}")
