"""Where the sidecar's environment cannot be made: what is told, and that what is half made is made anew."""

from pathlib import Path

import pytest

from cli.errors import explain
from cli.exits import Exit
from guardrails_sidecar import environment


def test_an_environment_that_cannot_be_made_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "other.lock"
    lock.write_text(f"nothing==1 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(environment, "LOCK", lock)
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(tmp_path), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(environment.EnvironmentProblem) as problem:
            environment.make(environment.place(tmp_path), said.append)
        assert "network" in str(problem.value)
        assert "nothing" in str(problem.value)
    assert len(said) == 2
    told = explain(problem.value)
    assert told is not None
    assert told.code is Exit.FAILED
