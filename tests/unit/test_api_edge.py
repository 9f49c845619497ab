import asyncio
import logging

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from api.http.edge import Edge

SCOPE = {"type": "http", "method": "POST", "path": "/api/v1/jobs", "headers": []}


def logged(error: BaseException, caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pass

    with caplog.at_level(logging.DEBUG):
        asyncio.run(Edge(app)(SCOPE, receive, send))
    return [record for record in caplog.records if record.name == "api.http.edge"]


def test_a_caller_who_goes_away_is_one_line_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    [record] = logged(ClientDisconnect(), caplog)
    assert record.levelno == logging.INFO
    assert "\n" not in record.getMessage()


def test_a_bug_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    [record] = logged(RuntimeError("x"), caplog)
    assert record.levelno == logging.ERROR


def test_a_request_that_a_stopping_server_ends_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    [record] = logged(asyncio.CancelledError(), caplog)
    assert record.levelno == logging.INFO
    assert "\n" not in record.getMessage()
