"""The sidecar's virtual environment: made once from its lock file, in a folder of its own; and how it is started.

The folder's name holds a hash of the lock file and of the interpreter, so another release makes another one.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"

QUIET: Mapping[str, str] = {
    "OTEL_SDK_DISABLED": "true",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # Validators run in the thread of their request, without an event loop.
    "GUARDRAILS_RUN_SYNC": "true",
}
"""Every switch of guardrails-ai, and of what it brings along, that keeps it from calling anybody."""

_RC = "enable_metrics=false\nuse_remote_inferencing=false\n"
"""guardrails-ai reads this from `.guardrailsrc` in HOME, again and again; its telemetry is on without it."""

_PASSED_ON = ("PATH", "LANG", "TZ", "TMPDIR", "HF_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PREFIXES = ("LC_", "GUARDRAILS_")
_STAMP = "complete"


class EnvironmentProblem(RuntimeError):
    """The environment cannot be made; the message says why and what to do."""


def place(home: Path | None = None) -> Path:
    """The environment's folder: in `home`, else in the user's cache."""
    interpreter = f"{sys.implementation.cache_tag} {sys.platform} {os.uname().machine} {sys.base_prefix}"
    name = sha256(LOCK.read_bytes() + interpreter.encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "synthralos"
    return (home or cache).absolute() / f"guardrails-{name}"


def make(folder: Path, say: Callable[[str], None]) -> Path:
    """The environment's interpreter; the environment is made where it is not complete, which is told to `say`.

    Processes that want it at once wait for one another. Raises `EnvironmentProblem`.
    """
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if not (folder / _STAMP).exists():
            say(f"making the environment of guardrails-ai in {folder}: once, a minute or two, 500 MB")
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)], "install Python's venv (on Debian: python3-venv)")
            command = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)]
            _run(command, "pip needs the network, or a mirror or wheels by PIP_INDEX_URL or PIP_FIND_LINKS")
            _write_home(folder)
            (folder / _STAMP).touch()
    return python


def start_command(python: Path, config: Path, host: str, port: int) -> list[str]:
    """The command line of the sidecar. Isolated: neither PYTHONPATH nor the user's packages count."""
    options = ["--config", str(config.absolute()), "--host", host, "--port", str(port)]
    return [str(python), "-s", "-P", str(HERE / "launch.py"), *options]


def start_environment(folder: Path, around: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The sidecar's environment variables: few of those `around`, no key or password of ours among them.

    What begins with GUARDRAILS_ is passed on, for validators that operators install.
    """
    kept = {name: value for name, value in around.items() if name in _PASSED_ON or name.startswith(_PREFIXES)}
    return {**kept, **QUIET, "HOME": str(folder / "home"), "PYTHONUNBUFFERED": "1"}


def _write_home(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (home / ".guardrailsrc").write_text(_RC)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with Path(f"{folder}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: Sequence[str], remedy: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean)  # noqa: S603 - our own command line
    if done.returncode:
        told = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in told if "ERROR" in line or "Error" in line] or told
        why = "\n  ".join(errors[-3:]) or f"exit status {done.returncode}"
        raise EnvironmentProblem(f"the environment of guardrails-ai cannot be made: {remedy}\n  {why}")
