"""Documents that people write for a command: TOML or JSON, in a file or on standard input."""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import typer


def read_document(file: str) -> Any:
    """What stands in the file (`-`: standard input); raises `typer.BadParameter` where it is neither of both."""
    text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    try:
        return json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{file} is neither TOML nor JSON: {error}") from None
