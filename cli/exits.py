"""Exit codes, as one table; the help text is made from it."""

from enum import IntEnum


class Exit(IntEnum):
    """What the command's exit status says."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SETTING = 3
    UNREACHABLE = 4
    REFUSED = 5
    TIMEOUT = 6
    INTERRUPTED = 130


MEANINGS = {
    Exit.DONE: "done",
    Exit.FAILED: "a job that was waited for did not succeed; a check said no; an unexpected error",
    Exit.USAGE: "wrong arguments",
    Exit.SETTING: "a setting is wrong or missing",
    Exit.UNREACHABLE: "the server, the database or the port cannot be had",
    Exit.REFUSED: "the server refused the request",
    Exit.TIMEOUT: "the wait was over before the jobs were done",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}


def epilog() -> str:
    """The table as the help shows it."""
    return "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."
