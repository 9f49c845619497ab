"""One request under way: whom to tell how it ended, and how to stop it."""

from collections.abc import Callable

from pipelines.providers.transport.protocol import Done, Request, Result


class Exchange:
    """Tells `done` the result once, and never after `cancel`. `ends_at` is by the loop's clock.

    `stop` is what cancelling has to do: end the dialing, or drop the connection that carries the request.
    """

    __slots__ = ("_done", "ends_at", "request", "stop")

    def __init__(self, request: Request, done: Done, ends_at: float) -> None:
        self.request = request
        self.ends_at = ends_at
        self.stop: Callable[[], object] | None = None
        self._done: Done | None = done

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for the end."""
        return self._done is not None

    def end(self, result: Result) -> None:
        """This is what became of the request."""
        done, self._done = self._done, None
        self.stop = None
        if done is not None:
            done(result)

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        stop, self.stop = self.stop, None
        self._done = None
        if stop is not None:
            stop()
