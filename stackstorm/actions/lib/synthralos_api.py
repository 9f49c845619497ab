"""The SynthralOS API over HTTP, with nothing but Python's own library.

Whatever the API answers becomes a value or an `ApiError`. What may have been done already is never
sent again from here: only reads, and requests that cannot have reached the API, are repeated.
"""

import http.client
import json
import ssl
import time
from urllib.parse import quote, urlencode, urlsplit

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer at most."""

LONGEST_PAUSE = 30.0
"""Seconds between two tries at most, whatever the API asks for."""

AGAIN = (429, 502, 503, 504)
"""Statuses after which a read is tried again."""

KINDS = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    412: "changed_meanwhile",
    422: "invalid",
    429: "busy",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
}


class ConfigError(ValueError):
    """The pack's configuration lacks something, or something in it is wrong."""


class ApiError(Exception):
    """What the API refused, or why there is no answer.

    `kind` is one of the values of `KINDS`, or `unreachable` (nothing was sent), `ambiguous` (it may
    have been done, but no answer came), `server_error` or `unexpected`.
    """

    def __init__(self, kind, detail, status=None, errors=None, retry_after=None):
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status
        self.errors = errors or []
        self.retry_after = retry_after

    def to_dict(self):
        """As an action's result has it."""
        return {
            "kind": self.kind,
            "detail": self.detail,
            "status": self.status,
            "errors": self.errors,
        }


class Answer:
    """An answer: `data` is its JSON, or its text where it is none; `headers` by name in lower
    case.
    """

    def __init__(self, status, headers, data):
        self.status = status
        self.headers = headers
        self.data = data

    @property
    def etag(self):
        """The version of what was read, for If-Match."""
        return self.headers.get("etag")


class Api:
    """Talks to one SynthralOS. `config` is the pack's; `sleep` takes seconds."""

    def __init__(self, config, sleep=time.sleep):
        self._url = urlsplit(_text(config, "url").rstrip("/"))
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ConfigError("url: must look like https://synthralos.example.com")
        self._key = _text(config, "api_key")
        if not all(" " < letter <= "~" for letter in self._key):
            raise ConfigError("api_key: has characters that no key has; set it anew")
        self._connect_timeout = _number_of(config, "connect_timeout", 5, 0.1)
        self._timeout = _number_of(config, "timeout", 30, 0.1)
        self._tries = 1 + int(_number_of(config, "retries", 3, 0))
        self._tls = _tls(config) if self._url.scheme == "https" else None
        self._sleep = sleep

    def get(self, path, query=None, wait=0.0, statuses=(), accept="application/json"):
        """Read something; `wait`: seconds that the API was asked to wait. A read is tried again."""
        for left in reversed(range(self._tries)):
            try:
                return self._send("GET", path, query, None, {"Accept": accept}, wait, statuses)
            except ApiError as error:
                again = error.kind in ("unreachable", "ambiguous") or error.status in AGAIN
                if not again or not left:
                    raise
                self._sleep(_pause(error, self._tries - left))

    def post(self, path, body=None, key=None):
        """Have something done; sent once more only where nothing can have come of it. With an
        idempotency `key`, the API does it once however often it is sent.
        """
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._write("POST", path, body, headers=headers)

    def put(self, path, body, query=None, etag=None):
        """Replace something; `etag`: only where it is still at that version."""
        return self._write("PUT", path, body, query, _if_match(etag))

    def delete(self, path, query=None, etag=None):
        """Remove something."""
        return self._write("DELETE", path, None, query, _if_match(etag))

    def _write(self, method, path, body, query=None, headers=None):
        for left in reversed(range(self._tries)):
            try:
                return self._send(method, path, query, body, headers or {})
            except ApiError as error:
                # A 429 is answered before anything is looked at.
                if not left or (error.kind != "unreachable" and error.status != 429):
                    raise
                self._sleep(_pause(error, self._tries - left))

    def _send(self, method, path, query, body, headers, wait=0.0, statuses=()):
        target = self._url.path + path + _query(query)
        payload = None if body is None else json.dumps(body).encode("utf-8")
        sent = dict(headers, Authorization="Bearer " + self._key)
        sent.setdefault("Accept", "application/json")
        sent["User-Agent"] = "synthralos-stackstorm-pack"
        if payload is not None:
            sent["Content-Type"] = "application/json"
        connection = self._connected()
        try:
            connection.sock.settimeout(self._timeout + wait)
            connection.request(method, target, payload, sent)
            response = connection.getresponse()
            raw = response.read(LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            told = "no answer to {} {}: {}".format(method, path, _named(error))
            raise ApiError("ambiguous", told) from None
        finally:
            connection.close()
        if len(raw) > LARGEST_ANSWER:
            raise ApiError("unexpected", "the answer to {} {} is too large".format(method, path))
        return _answer(response, raw, statuses)

    def _connected(self):
        """A connection; what fails here was never sent."""
        host, port = self._url.hostname, self._url.port
        if self._tls is None:
            connection = http.client.HTTPConnection(host, port, timeout=self._connect_timeout)
        else:
            connection = http.client.HTTPSConnection(
                host, port, timeout=self._connect_timeout, context=self._tls
            )
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            told = "cannot connect to {}: {}".format(self._url.netloc, _named(error))
            raise ApiError("unreachable", told) from None
        return connection


def _if_match(etag):
    return {} if etag is None else {"If-Match": etag}


def segment(value):
    """A value as one part of a path. Deployments' ids keep their slashes, as the API wants them."""
    return quote(str(value), safe="/@:")


def _answer(response, raw, statuses):
    headers = {name.lower(): value for name, value in response.getheaders()}
    text = raw.decode("utf-8", "replace")
    try:
        data = json.loads(text) if text else None
    except ValueError:
        data = text
    if 200 <= response.status < 300 or response.status in statuses:
        return Answer(response.status, headers, data)
    problem = data if isinstance(data, dict) else {}
    kind = KINDS.get(response.status, "server_error" if response.status >= 500 else "unexpected")
    detail = problem.get("detail") or problem.get("title") or "HTTP {}".format(response.status)
    raise ApiError(
        kind,
        str(detail)[:2000],
        response.status,
        problem.get("errors"),
        _number(headers.get("retry-after")),
    )


def _pause(error, tried):
    """Seconds until the next try: what the API asks for, else 1, 2, 4 ..."""
    asked = error.retry_after
    return min(LONGEST_PAUSE, 2.0 ** (tried - 1) if asked is None else max(0.0, asked))


def _query(query):
    given = [(name, value) for name, value in (query or {}).items() if value is not None]
    return "?" + urlencode(given, doseq=True) if given else ""


def _tls(config):
    if config.get("verify_tls") is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cafile=config.get("ca_path") or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError("ca_path: cannot be read: {}".format(_named(error))) from None


def _text(config, name):
    value = config.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError("{}: is not set in the pack's configuration".format(name))
    return value.strip()


def _number_of(config, name, default, least):
    value = config.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
        raise ConfigError("{}: must be a number, {} at least".format(name, least))
    return value


def _number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _named(error):
    return "{}: {}".format(type(error).__name__, error) if str(error) else type(error).__name__
