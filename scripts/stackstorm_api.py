"""The part of StackStorm's API that an installation of the pack needs, with nothing but Python's own library."""

import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, NoReturn

ENDED = frozenset({"succeeded", "failed", "timeout", "abandoned", "canceled"})
"""What an execution ends as."""

LOOK_EVERY = 2.0
LARGEST_ANSWER = 32 * 1024 * 1024
_AWAY = (502, 503, 504)


class DeployError(Exception):
    """What kept the pack from being installed, and what to do about it."""


class Refused(DeployError):
    """StackStorm answered with an error."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Away(DeployError):
    """StackStorm did not answer."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key goes to no other address."""

    def redirect_request(self, *args: Any, **more: Any) -> NoReturn:
        raise DeployError("StackStorm's API redirects elsewhere: give the address that it leads to.")


class StackStorm:
    """Talks to one StackStorm. `url` is its API with the version, such as `https://st2.example.com/api/v1`."""

    def __init__(
        self,
        url: str,
        key: str,
        context: ssl.SSLContext | None = None,
        *,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._sleep = sleep
        handlers = [_NoRedirect(), urllib.request.HTTPSHandler(context=context)]
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Read something."""
        return self._send("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))

    def find(self, path: str) -> Any:
        """Read something; None where there is no such thing."""
        try:
            return self.get(path)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def post(self, path: str, body: Any) -> Any:
        """Have something done; never sent twice."""
        return self._send("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        """Set something."""
        return self._send("PUT", path, body)

    def wait(self, execution_id: str, seconds: float) -> dict[str, Any]:
        """An execution when it has ended; raises `DeployError` after so many seconds."""
        until = time.monotonic() + seconds
        status = "unknown"
        while time.monotonic() < until:
            try:
                found: dict[str, Any] = self.get(f"/executions/{execution_id}")
            except Away:
                # Its services may be started anew while a pack is installed.
                self._sleep(LOOK_EVERY)
                continue
            status = found["status"]
            if status in ENDED:
                return found
            self._sleep(LOOK_EVERY)
        raise DeployError(f"Execution {execution_id} is {status} after {seconds:g} seconds: st2 execution get it.")

    def failures(self, execution_id: str) -> list[str]:
        """What failed within an execution: the action and what it said."""
        children = self.get(f"/executions/{execution_id}/children")
        return [
            f"{child['action']['ref']}: {_said(child.get('result'))}"
            for child in children
            if child["status"] in ENDED - {"succeeded"}
        ]

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"St2-Api-Key": self._key, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                raw = response.read(LARGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(method, path, error) from None
        except (OSError, HTTPException) as error:
            raise Away(f"StackStorm's API does not answer to {method} {path}: {error}") from None
        if len(raw) > LARGEST_ANSWER:
            raise DeployError(f"StackStorm's answer to {method} {path} is too large.")
        return json.loads(raw) if raw else None


def _refused(method: str, path: str, error: urllib.error.HTTPError) -> DeployError:
    try:
        said = json.loads(error.read(100_000))["faultstring"]
    except (ValueError, KeyError, TypeError, OSError):
        said = error.reason
    if error.code in _AWAY:
        return Away(f"StackStorm answers {error.code} to {method} {path}: {said}")
    if error.code == 401:
        return Refused(f"StackStorm does not know the key in ST2_API_KEY: {said}", 401)
    return Refused(f"StackStorm refuses {method} {path} with {error.code}: {said}", error.code)


def _said(result: Any) -> str:
    if not isinstance(result, dict):
        return str(result)[:1000]
    found = result.get("error") or result.get("stderr") or result.get("result") or result
    return (found if isinstance(found, str) else json.dumps(found))[-1000:].strip()
