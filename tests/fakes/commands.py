"""The `synthralos` command as tests call it: in this process, or as the process that it is."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.children import child

ROOT = Path(__file__).parents[2]

SETTINGS = ("DATABASE_URL", "BROKER_URL", "HOST", "PORT", "CATALOG_FILE", "SANDBOX", "OPENAI_API_KEY")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Done]


def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process: quick, and through the same entry point."""

    def command(*arguments: str) -> Done:
        from cli.main import run

        monkeypatch.setattr(sys, "argv", ["synthralos", *arguments])
        capsys.readouterr()
        code, before, level = 0, logging.root.handlers[:], logging.root.level
        try:
            run()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:  # a command sets up the log of its process, which is the tests' here
            logging.root.setLevel(level)
            for handler in logging.root.handlers[:]:
                if handler not in before:
                    logging.root.removeHandler(handler)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return command


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of ours, and with `settings`."""
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    paths = [str(ROOT), str(ROOT / "client"), *kept.get("PYTHONPATH", "").split(os.pathsep)]
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **settings}


def arguments(*rest: str) -> list[str]:
    """The command line of a process that runs `synthralos`."""
    return [sys.executable, "-m", "cli", *rest]


@dataclass(frozen=True)
class System:
    """A running `synthralos up`."""

    url: str
    key: str
    database_url: str
    process: "subprocess.Popen[str]"


@contextmanager
def system(folder: Path, **settings: str) -> Iterator[System]:
    """`synthralos up` in a process of its own, on a new database in `folder`; stopped with SIGTERM."""
    database_url = f"sqlite:///{folder / 'up.db'}"
    command = arguments("--json", "up", "--port", "0", "--database-url", database_url)
    with (
        open(folder / "up.log", "w") as log,
        child(command, env=environment(**settings), cwd=folder, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (folder / "up.log").read_text()
            told = json.loads(line)
            yield System(told["url"], told["admin_key"], database_url, process)
        finally:
            process.terminate()
            process.communicate(timeout=60)
