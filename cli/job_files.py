"""Job requests from the command line: a prompt, standard input, or a file of prompts or of JSON."""

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
        return [{**common, **request} for request in _requests(file)]
    return [{**common, "prompt": sys.stdin.read() if prompt == "-" else prompt}]


def as_embeddings(requests: list[Request]) -> list[Request]:
    """The same prompts as embedding jobs; what is one already, or has no prompt, stays as it is."""
    return [
        {"kind": "embedding", "input": request["prompt"], **{n: v for n, v in request.items() if n != "prompt"}}
        if "prompt" in request
        else request
        for request in requests
    ]


def _requests(file: Path) -> list[Request]:
    """A `.txt` file holds a prompt a line; any other holds JSON: one request, an array, or one value a line."""
    text = sys.stdin.read() if str(file) == "-" else _text(file)
    if file.suffix.lower() == ".txt":
        requests = [{"prompt": line.strip()} for line in text.split("\n") if line.strip()]
    elif (values := _document(text)) is not None:
        requests = [_request(value, f"{file}, element {number}") for number, value in enumerate(values, 1)]
    else:
        lines = enumerate(text.split("\n"), 1)
        requests = [_line(line, f"{file}, line {number}") for number, line in lines if line.strip()]
    if not requests:
        raise typer.BadParameter(f"{file} holds no requests")
    return requests


def _document(text: str) -> list[Any] | None:
    """The elements of a text that is one JSON array or object; None where it is none."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) else [value]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not UTF-8 text") from None


def _line(line: str, where: str) -> Request:
    try:
        value = json.loads(line)
    except ValueError as error:
        hint = "a prompt stands in quotes, or a line each in a file named .txt"
        raise typer.BadParameter(f"{where}: not JSON: {error}; {hint}") from None
    return _request(value, where)


def _request(value: Any, where: str) -> Request:
    if isinstance(value, str):
        return {"prompt": value}
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{where}: neither a prompt in quotes nor a job request")
    return value
