"""The StackStorm pack's own tests, in the Python that it is written for. StackStorm runs them with its own packages."""

import subprocess

from tests.fakes.stackstorm_pack import PACK, oldest_python


def test_the_packs_own_tests_pass_without_stackstorm() -> None:
    command = [oldest_python(), "-W", "error", "-m", "unittest", "-v"]
    done = subprocess.run(command, cwd=PACK / "tests", capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("... ") >= 12
