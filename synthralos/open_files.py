"""How many files and connections a process may have open. Called once, where the process begins."""

import resource
from contextlib import suppress


def allow_many_open_files() -> None:
    """Raise the limit to the most that the system allows; where it allows no change, the limit stays."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
