"""Tries an installed SynthralOS as its first users would; run by scripts/check-wheel with the environment's Python.

Usage: wheel_tour.py SOURCE, where SOURCE is the checkout that the wheels were built from. The working folder has to be
empty; the tour leaves its databases there.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files, version
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).with_name("synthralos"))
ROOMS = {"synthralos", "pipelines", "workers", "scheduler", "api", "embedded", "cli", "migrations", "demo"} | {
    "guardrails_sidecar"
}
"""Everything that the server's wheel installs at the top level."""

SECONDS = 120


def check_contents(source: Path) -> None:
    """What the wheel installs is the rooms and nothing else, and of each room every file."""
    installed = {str(file) for file in files("synthralos") or [] if not str(file).startswith(("..", "synthralos-"))}
    kept = {file for file in installed if "__pycache__" not in file}
    there = {str(path.relative_to(source)) for room in ROOMS for path in (source / room).rglob("*") if path.is_file()}
    there = {file for file in there if not file.endswith("README.md")}
    assert kept == there, f"missing: {sorted(there - kept)}, unasked for: {sorted(kept - there)}"


def environment(**settings: str) -> dict[str, str]:
    """Nothing of what the caller's environment may say about SynthralOS or about where Python looks."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, **settings}


def run(*words: str, **settings: str) -> str:
    """The standard output of a command that has to succeed."""
    done = subprocess.run(
        [COMMAND, *words], env=environment(**settings), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, (
        f"synthralos {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    )
    return done.stdout


@contextmanager
def up(**settings: str) -> Iterator[dict[str, Any]]:
    """A running `synthralos up`; it has to end well when it is asked to."""
    command = [COMMAND, "--json", "up", "--port", "0"]
    with subprocess.Popen(command, env=environment(**settings), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            code = process.wait(SECONDS)
    assert code == 0, f"synthralos up ended with {code}"


def tour() -> None:
    """Version, help, schema up and down, demo, and a job through `synthralos up`."""
    assert version("synthralos") in run("--version")
    assert "submit" in run("jobs", "--help")
    migrated = {"DATABASE_URL": "sqlite:///migrated.db"}
    state = json.loads(run("--json", "migrate", **migrated))
    assert state["revision"] == state["newest"]
    assert json.loads(run("--json", "migrate", "down", "--to", "base", "--yes", **migrated))["revision"] is None
    assert "succeeded" in run("demo", "--prompts", "30")
    with up() as system:
        with urllib.request.urlopen(f"{system['url']}/health/ready", timeout=10) as answer:
            assert json.load(answer)["status"] == "ready"
        client = {"SYNTHRALOS_URL": system["url"], "SYNTHRALOS_API_KEY": system["admin_key"]}
        job = json.loads(run("--json", "jobs", "submit", "Name three rivers.", "--wait", **client))
        assert job["state"] == "succeeded"


if __name__ == "__main__":
    check_contents(Path(sys.argv[1]))
    tour()
    print(f"synthralos {version('synthralos')} works from its wheel on Python {sys.version.split()[0]}")
