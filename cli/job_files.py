"""Job requests from the command line: a prompt, standard input, or a file of JSON lines."""

import json
import sys
from pathlib import Path
from typing import Any

import typer

Request = dict[str, Any]


def given(fields: Request) -> Request:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def read_requests(prompt: str | None, file: Path | None, common: Request) -> list[Request]:
    """The requests, each with the `common` fields where it does not have its own."""
    if (prompt is None) == (file is None):
        raise typer.BadParameter("give either a prompt or a --file")
    if file is not None:
        return [{**common, **request} for request in _lines(file)]
    return [{**common, "prompt": sys.stdin.read() if prompt == "-" else prompt}]


def _lines(file: Path) -> list[Request]:
    text = sys.stdin.read() if str(file) == "-" else _text(file)
    requests = [_request(line, number, file) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not requests:
        raise typer.BadParameter(f"{file} holds no requests")
    return requests


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not UTF-8 text") from None


def _request(line: str, number: int, file: Path) -> Request:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise typer.BadParameter(f"{file}, line {number}: not JSON: {error}") from None
    if isinstance(value, str):
        return {"prompt": value}
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{file}, line {number}: neither a prompt in quotes nor a job request")
    return value
