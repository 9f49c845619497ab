"""Log lines of a process: JSON or text, with the ids of what they are about, and without secrets.

Everything logs by Python's own `logging`; structlog's formatter makes the lines, of libraries' records too.
"""

import logging
import os
import sys
import traceback
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import Processor

from synthralos.telemetry import context
from synthralos.telemetry.redaction import Redactor

QUIET = {
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "dramatiq.worker": logging.WARNING,
    "httpx": logging.WARNING,
    "uvicorn.access": logging.WARNING,
    "uvicorn.error": logging.WARNING,
}
"""From which level on libraries are heard that say more than an operator needs."""

_REPEATED = "Consumer encountered a connection error"
"""How Dramatiq begins a line for each queue and try, twice a second. We say it once a minute (`telemetry.outages`)."""

_STANDARD = frozenset({"taskName", "color_message"})

Event = MutableMapping[str, Any]


class _Lines(logging.StreamHandler[TextIO]):
    """Writes to what is standard error by then: a worker's process gets another one than its manager has."""

    def __init__(self, redactor: Redactor) -> None:
        logging.Handler.__init__(self)
        self.redactor = redactor

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # an attribute there
        return sys.stderr


def set_up_logging(
    process: str,
    level: str,
    form: str,
    secrets: Iterable[str] = (),
    *,
    frank: Sequence[type[BaseException]] = (OSError,),
) -> None:
    """Have everything that is logged in this process go to standard error as lines of one form.

    `process` is the kind of this process. `form` is `json`, `text`, or `auto`: text on a terminal. Of an error that is
    not one of `frank`, tracebacks show the kind and where it came from, never its message: that may quote a prompt.
    """
    redactor = Redactor(secrets)
    handler = _Lines(redactor)
    handler.setFormatter(formatter(process, form, redactor, terminal=sys.stderr.isatty(), frank=frank))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Lines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    if level != "DEBUG":
        handler.addFilter(lambda record: not str(record.msg).startswith(_REPEATED))
        for name, least in QUIET.items():
            logging.getLogger(name).setLevel(least)
    logging.captureWarnings(True)


def hide(secrets: Iterable[str]) -> None:
    """Hide these secrets too in all that this process logs from now on."""
    learned = tuple(secrets)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Lines):
            handler.redactor.learn(learned)


def formatter(
    process: str, form: str, redactor: Redactor, *, terminal: bool = False, frank: Sequence[type[BaseException]] = ()
) -> logging.Formatter:
    """The formatter that makes the lines."""
    as_text = form == "text" or (form == "auto" and terminal)
    render: Processor = structlog.dev.ConsoleRenderer(colors=terminal) if as_text else _json
    who = {"process": process, "pid": os.getpid()}

    def facts(_: Any, __: str, event: Event) -> Event:
        known = context.current()
        return {**event, **who, **(known.known() if known is not None else {}), **_extra(event["_record"])}

    def errors(_: Any, __: str, event: Event) -> Event:
        error = event.pop("exc_info", None)
        if isinstance(error, tuple) and error[1] is not None:
            event["exception"] = described(error[1], frank)
        return event

    def redacted(_: Any, __: str, event: Event) -> Event:
        return redactor.fields({name: value for name, value in event.items() if name[0] != "_"})

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            facts,
        ],
        processors=[errors, redacted, render],
    )


def described(error: BaseException, frank: Sequence[type[BaseException]]) -> str:
    """The traceback of an error and of what caused it: places and kinds, and messages only of those that are frank."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        what = type(current).__name__
        if isinstance(current, tuple(frank)):
            what = f"{what}: {current}"
        parts.append("".join(traceback.format_tb(current.__traceback__)) + what)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\nafter\n".join(parts)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    """What the line was given besides its text (`extra=`)."""
    return {name: value for name, value in record.__dict__.items() if name not in _RECORD and name[0] != "_"}


_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | _STANDARD | {"message", "asctime"}


def _json(_: Any, __: str, event: Mapping[str, Any]) -> str:
    first = {name: event[name] for name in ("time", "level", "logger", "process", "event") if name in event}
    return orjson.dumps({**first, **event}, default=str).decode()
