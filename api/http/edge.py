"""The outermost layer: what nobody caught becomes a 500."""

import asyncio
import logging
import traceback

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import internal, unavailable

log = logging.getLogger(__name__)


class Edge:
    """Answers a bug with a 500 that shows nothing of it.

    The log gets the kind of the error and where it came from, never its message: a database's messages quote
    the data that they are about.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except ClientDisconnect:
            log.info("%s %r: the caller went away before the request was whole", scope["method"], scope["path"])
        except asyncio.CancelledError:
            if begun:
                raise
            # The server stops and waits no longer. Raised further, it would be a traceback for every request.
            log.info("%s %r: ended, for the process stops", scope["method"], scope["path"])
            await unavailable("The process stops: send the request again.").response()(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the edge of the process: a bug must not show itself to callers
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s %r failed with %s\n%s", scope["method"], scope["path"], type(error).__name__, where)
            if not begun:
                await internal().response()(scope, receive, send)
