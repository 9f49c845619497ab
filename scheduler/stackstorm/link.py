"""StackStorm's API through st2client: what it answers is a value, and every call ends in time.

The only file that knows st2client. The key is passed with each call: given to the client, it would stand in this
process's environment. A call follows no redirect, because its key would go along.
"""

import ssl
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any, NoReturn

from synthralos.config.settings import Settings, SettingsError
from synthralos.domain.repairs import WORKFLOWS, RepairKind

MOST_HANGING = 32
"""Calls that may be under way at once; those whose answer trickles stay until it ends."""

_MOST_DETAIL = 300

ENDED = frozenset({"succeeded", "failed", "timeout", "abandoned", "canceled"})
"""What an execution ends as."""


class Trouble(StrEnum):
    """Why a call came to nothing. `refused`: StackStorm answered, and will not do it. `wrong`: it is no StackStorm."""

    AWAY = "away"
    REFUSED = "refused"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Failed:
    """A call that came to nothing. `status` is HTTP's, where there was one; `detail` holds no secret."""

    trouble: Trouble
    detail: str
    status: int | None = None


TOLD: Mapping[Trouble, str] = {
    Trouble.AWAY: "StackStorm is away",
    Trouble.REFUSED: "StackStorm refused the call",
    Trouble.WRONG: "what answers is no StackStorm",
}
"""What tenants are told of it: a `detail` may name addresses."""


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as StackStorm has it. `output` is what its workflow told."""

    id: str
    status: str
    output: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.status in ENDED


class Stopped(Exception):
    """This process stops: nobody waits for the answer any more."""


class StackStormLink:
    """Blocks, for `timeout` seconds at most. Thread-safe."""

    def __init__(self, url: str, key: str, cacert: str | bool, timeout: float) -> None:
        """`cacert`: a file of authorities, or True. Raises `ImportError` where st2client is not installed."""
        self._client, self._execution = _client(url, cacert)
        self._key, self._timeout = key, timeout
        self._waiting: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def find(self, tag: str, workflow: str) -> str | Failed | None:
        """The execution of that workflow which was started with the tag; None: there is none."""
        traces = self._client.managers["Trace"]
        found = self._call(lambda more: traces.get_all(params={"trace_tag": tag}, limit=5, **more), list)
        if isinstance(found, Failed):
            return found
        for trace in found:
            for each in getattr(trace, "action_executions", None) or ():
                known = each if isinstance(each, Mapping) else {}
                if known.get("ref") == workflow and isinstance(known.get("object_id"), str):
                    return str(known["object_id"])
        return None

    def start(self, workflow: str, parameters: Mapping[str, Any], tag: str) -> Execution | Failed:
        """Start it, under that tag."""
        wanted = self._execution(
            action=workflow, parameters=dict(parameters), context={"trace_context": {"trace_tag": tag}}
        )
        return self._execution_of(self._call(lambda more: self._client.executions.create(wanted, **more)))

    def look(self, execution_id: str) -> Execution | Failed | None:
        """The execution as it is now; None: StackStorm knows none of that id."""
        found = self._call(
            lambda more: self._client.executions.get_by_id(
                execution_id, params={"exclude_attributes": "trigger_instance"}, **more
            )
        )
        return None if found is None else self._execution_of(found)

    def cancel(self, execution_id: str) -> None:
        """Have it cancelled, where that can be; nobody relies on it."""
        wanted = self._execution(id=execution_id)
        self._call(lambda more: self._client.executions.delete(wanted, **more))

    def ping(self) -> Failed | None:
        """Whether StackStorm answers, takes the key, and has the pack."""
        wanted = WORKFLOWS[RepairKind.RETRY]
        found = self._call(lambda more: self._client.actions.get_by_id(wanted, **more))
        if found is None:
            return Failed(Trouble.REFUSED, f"StackStorm has no action {wanted}: install the pack", 404)
        return found if isinstance(found, Failed) else None

    def dispatch(self, trigger: str, payload: Mapping[str, Any], tag: str) -> Failed | None:
        """Tell it of something that happened; None: it is taken."""
        done = self._call(
            lambda more: self._client.webhooks.post_generic_webhook(trigger, dict(payload), tag, **more), dict
        )
        return done if isinstance(done, Failed) else None

    def stop(self) -> None:
        """Whoever waits for an answer gets `Stopped`, now and from now on."""
        with self._lock:
            self._stopped, waiting = True, list(self._waiting)
        for each in waiting:
            with suppress(Exception):  # it was answered in this moment
                each.set_exception(Stopped())

    @staticmethod
    def _execution_of(found: Any) -> Execution | Failed:
        if isinstance(found, Failed):
            return found
        told = getattr(found, "result", None)
        output = told.get("output") if isinstance(told, Mapping) else None
        id_, status = getattr(found, "id", None), getattr(found, "status", None)
        if not isinstance(id_, str) or not isinstance(status, str):
            return Failed(Trouble.WRONG, "its answer is no execution")
        return Execution(id_, status, output if isinstance(output, Mapping) else {})

    def _call(self, call: Callable[[dict[str, Any]], Any], kind: type | None = None) -> Any:
        """What st2client answers, or `Failed`; raises `Stopped`. In a thread: an answer may trickle for ever."""
        future: Future[Any] = Future()
        with self._lock:
            if self._stopped:
                raise Stopped
            if len(self._waiting) >= MOST_HANGING:
                return Failed(Trouble.AWAY, f"{MOST_HANGING} calls to StackStorm hang")
            self._waiting.add(future)
        threading.Thread(target=self._run, args=(call, future), name="stackstorm-call", daemon=True).start()
        try:
            answer = future.result(self._timeout)
        except Late:
            return Failed(Trouble.AWAY, f"no answer within {self._timeout:g} seconds")
        if kind is not None and not isinstance(answer, Failed | kind):
            return Failed(Trouble.WRONG, "its answer has another form")
        return answer

    def _run(self, call: Callable[[dict[str, Any]], Any], future: Future[Any]) -> None:
        more = {"api_key": self._key, "timeout": self._timeout, "allow_redirects": False}
        try:
            answer = call(more)
        except Exception as error:  # noqa: BLE001 - the edge to another system's client, which raises what it likes
            answer = self._failed(error)
        with self._lock:
            self._waiting.discard(future)
        with suppress(Exception):  # who waited has gone
            future.set_result(answer)

    def _failed(self, error: Exception) -> Failed:
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        if status is None:
            away = isinstance(error, OSError)  # those of requests are all, and so are those of its JSON
            wrong = not away or isinstance(error, ValueError)
            return Failed(Trouble.WRONG if wrong else Trouble.AWAY, _named(error, self._key))
        if status in (401, 403):
            return Failed(Trouble.REFUSED, f"{status}: it does not take STACKSTORM_API_KEY, or not for this", status)
        away = status >= 500 or status in (408, 429)
        detail = f"{status}: {_fault(response)}".replace(self._key, "***")[:_MOST_DETAIL]
        return Failed(Trouble.AWAY if away else Trouble.REFUSED, detail, status)


def build_link(settings: Settings) -> StackStormLink | None:
    """The link of the settings; None where there is none. Raises `SettingsError`."""
    url, key = settings.stackstorm_api_url, settings.stackstorm_api_key
    if url is None or key is None:
        return None
    system = ssl.get_default_verify_paths().cafile
    cacert = str(settings.stackstorm_cacert) if settings.stackstorm_cacert else system or True
    if isinstance(cacert, str):
        try:
            ssl.create_default_context(cafile=cacert)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"STACKSTORM_CACERT: holds no certificates in PEM form ({error})") from None
    try:
        return StackStormLink(url, key.get_secret_value(), cacert, settings.stackstorm_timeout)
    except ImportError as error:
        raise SettingsError(
            f"STACKSTORM_API_URL: needs st2client, which cannot be imported ({error}):"
            " pip install 'synthralos[stackstorm]'"
        ) from None


def _client(url: str, cacert: str | bool) -> tuple[Any, Any]:
    """st2client's client, and its model of an execution."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if sys.version_info >= (3, 13) and "pipes" not in sys.modules:  # of which it wants one function, for debugging
            pipes = ModuleType("pipes")
            pipes.quote = _no_quote  # type: ignore[attr-defined]
            sys.modules["pipes"] = pipes
        from st2client.client import Client  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
        from st2client.models.action import Execution as Model  # type: ignore[import-untyped]  # noqa: PLC0415
    base = url.rsplit("/v1", 1)[0]
    return Client(base_url=base, api_url=url, cacert=cacert), Model


def _no_quote(text: str) -> NoReturn:
    raise NotImplementedError(f"st2client's debugging is not used: {len(text)}")


def _named(error: Exception, key: str) -> str:
    """The kind of an error, and what it says of the connection: addresses, no key."""
    return f"{type(error).__name__}: {error}".replace(key, "***")[:_MOST_DETAIL]


def _fault(response: Any) -> str:
    try:
        return str(response.json().get("faultstring") or response.reason)
    except Exception:  # noqa: BLE001 - a page of a proxy, say
        return "its answer is no JSON"
