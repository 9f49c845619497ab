"""The release before this one, as the processes of a rolling upgrade run it.

It is taken out of the repository's history. When a release is made, `COMMIT` moves on to it, and `SETTINGS` says where
its settings are; what it must go on working with is told in CONTRIBUTING.md ("Migrations").
"""

import subprocess
from pathlib import Path

import pytest

COMMIT = "16f1972"
SETTINGS = "synthralos.settings"

ROOT = Path(__file__).resolve().parents[2]


def unpack(folder: Path) -> Path:
    """The source of the previous release, in `folder`. A checkout without its history fails the test, and says so."""
    archive = _git("archive", COMMIT)
    if archive.returncode and _git("fetch", "--unshallow").returncode == 0:
        archive = _git("archive", COMMIT)
    if archive.returncode:
        pytest.fail(
            f"the previous release, commit {COMMIT}, is not in this checkout's history: "
            f"clone the whole repository (git fetch --unshallow). git says: {archive.stderr.decode().strip()}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
