"""What the command prints: tables for people, JSON for machines, and nothing that a terminal would obey.

With `--json` standard output holds JSON and nothing else; whatever is said besides goes to standard error.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli.tables import Listing

WIDE = 160
"""Columns of a table that goes into a file or a pipe."""

View = RenderableType | Listing | list[RenderableType | Listing]
"""What people are shown: one thing, or several below one another."""

Advance = Callable[[int, int], None]
"""Called with how much is done, and how much there is."""


class Output:
    """One command's way of speaking."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)

    def show(self, data: object, view: Callable[[], View]) -> None:
        """The command's result: `data` for machines, `view` of it for people."""
        if self.as_json:
            print(json.dumps(data, default=_plain, ensure_ascii=False), flush=True)
        else:
            _print(self._out, view())

    def say(self, message: RenderableType, style: str = "") -> None:
        """Something besides the result. A string is taken as it is, without markup."""
        _print(self._err if self.as_json else self._out, Text(message, style) if isinstance(message, str) else message)

    def warn(self, message: str) -> None:
        """Something that went wrong, on standard error."""
        _print(self._err, Text(message))

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """A progress bar on standard error while something long runs."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err, transient=True) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done, of: progress.update(task, completed=done, total=of)


def usd(amount: Decimal) -> str:
    """An amount of money for people: exact, without trailing zeros, and never in powers of ten."""
    text = format(amount, "f")
    return "$" + (text.rstrip("0").rstrip(".") if "." in text else text)


def local(time: datetime | None) -> str:
    """A time in the reader's own zone, which is named."""
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S%z")


def command_name() -> str:
    """How this command is called from here: by its name where the shell finds it."""
    beside = Path(sys.executable).with_name("synthralos")
    if (found := shutil.which("synthralos")) is not None and Path(found).resolve() == beside.resolve():
        return "synthralos"
    if not beside.exists():
        return f"{_relative(Path(sys.executable))} -m cli"
    return str(_relative(beside))


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _print(console: Console, what: View) -> None:
    if isinstance(what, list):
        for part in what:
            _print(console, part)
        return
    if isinstance(what, Listing):
        what = what.text(console.width if console.is_terminal else None)
    # Plain text is not broken into lines: what is copied from it, a command or a key, must stay in one piece.
    console.print(what, soft_wrap=isinstance(what, Text))


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=WIDE)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def counted(number: int, what: str) -> str:
    """`1 rule`, `2 rules`: a number with what it counts, whose plural ends in s."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
