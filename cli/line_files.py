"""Files of one JSON object a line, read and written as they come, so that they may be of any size."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import typer

from cli.exits import Exit

_STANDARD = Path("-")


def write_lines(file: Path, lines: Iterable[Any]) -> int:
    """Write the lines; how many there were. `-` is standard output."""
    count = 0
    with nullcontext(sys.stdout) if file == _STANDARD else file.open("w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
            count += 1
    return count


def read_lines(file: Path) -> Iterator[Any]:
    """The lines but for empty ones; ends the command where one is no JSON. `-` is standard input."""
    with nullcontext(sys.stdin) if file == _STANDARD else _opened(file) as lines:
        for number, text in enumerate(lines, 1):
            if text.strip():
                try:
                    yield json.loads(text)
                except ValueError as error:
                    typer.echo(f"synthralos: {file} line {number} is no JSON: {error}", err=True)
                    raise typer.Exit(Exit.USAGE) from None


def _opened(file: Path) -> Any:
    try:
        return file.open(encoding="utf-8")
    except OSError as error:
        typer.echo(f"synthralos: {file} cannot be read: {error.strerror}", err=True)
        raise typer.Exit(Exit.USAGE) from None
