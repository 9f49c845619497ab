"""What every process of ours does first."""

import gc


def import_in_peace() -> None:
    """Have the garbage collector look seldom while a process imports what it runs.

    Modules stay to the end, and looking through them again and again takes a sixth of the start's CPU. What holds
    while the process works is its own to choose, once it has started.
    """
    gc.set_threshold(50_000, 20, 50)
