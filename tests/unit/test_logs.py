"""Log lines: their fields, their form, and what they must not hold."""

import ast
import asyncio
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synthralos.telemetry.context import Facts, begin, note
from synthralos.telemetry.logs import formatter
from synthralos.telemetry.redaction import HIDDEN, Redactor

ROOT = Path(__file__).parents[2]
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def logger() -> tuple[logging.Logger, Lines]:
    """A logger of its own, and the JSON lines that it has written."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter("worker", "json", Redactor(["hunter2-secret"]), frank=(OSError,)))
    logger = logging.Logger("synthralos.test", logging.DEBUG)
    logger.addHandler(handler)
    return logger, lambda: [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_line_says_when_how_bad_where_and_in_which_process(logger: tuple[logging.Logger, Lines]) -> None:
    log, lines = logger
    log.warning("%d jobs", 3)
    [line] = lines()
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"], line["process"]) == ("warning", "synthralos.test", "worker")
    assert line["event"] == "3 jobs"
    assert line["pid"] > 0
    assert "trace_id" not in line


def test_a_line_says_what_it_is_about_and_tasks_do_not_mix(logger: tuple[logging.Logger, Lines]) -> None:
    log, lines = logger

    async def serve(number: int) -> None:
        begin(Facts(trace_id=f"trace{number}"))
        await asyncio.sleep(0)
        note(job_id=f"job{number}", organization=f"org{number}")
        await asyncio.sleep(0)
        log.info("served")

    async def both() -> None:
        await asyncio.gather(serve(1), serve(2))
        log.info("over")

    asyncio.run(both())
    *served, over = lines()
    facts = {(line["trace_id"], line["job_id"], line["organization"]) for line in served}
    assert facts == {("trace1", "job1", "org1"), ("trace2", "job2", "org2")}
    assert "job_id" not in over


def test_fields_that_are_given_beside_the_text_are_fields_of_the_line(logger: tuple[logging.Logger, Lines]) -> None:
    log, lines = logger
    log.info("x", extra={"status": 202, "ms": 1.5, "nested": {"token": "abcdefgh", "count": 1}})
    [line] = lines()
    assert (line["status"], line["ms"]) == (202, 1.5)
    assert line["nested"] == {"token": HIDDEN, "count": 1}


def test_what_tenants_send_is_no_field_of_a_line(logger: tuple[logging.Logger, Lines]) -> None:
    log, lines = logger
    log.info("x", extra={"prompt": "my diagnosis", "deep": [{"messages": ["my diagnosis"]}]})
    assert "diagnosis" not in json.dumps(lines())


def test_a_traceback_shows_places_and_kinds_but_no_message_that_may_quote_a_prompt(
    logger: tuple[logging.Logger, Lines],
) -> None:
    log, lines = logger
    prompt = " ".join(["my", "diagnosis"])
    try:
        try:
            raise OSError("disk on fire")
        except OSError as error:
            raise ValueError(prompt) from error
    except ValueError:
        log.exception("a bug")
    [line] = lines()
    assert "test_logs.py" in line["exception"]
    assert "ValueError" in line["exception"]
    assert "disk on fire" in line["exception"]
    assert prompt not in json.dumps(line)


def test_text_for_people_holds_the_same() -> None:
    handler = logging.StreamHandler(out := io.StringIO())
    handler.setFormatter(formatter("api", "text", Redactor()))
    logger = logging.Logger("synthralos.test")
    logger.addHandler(handler)
    logger.warning("to postgresql://me:s3cretword@host/db", extra={"status": 500})
    [line] = out.getvalue().splitlines()
    assert "s3cretword" not in line
    assert "status=500" in line


@pytest.mark.parametrize(
    ("form", "terminal", "is_json"),
    [("auto", False, True), ("auto", True, False), ("json", True, True), ("text", False, False)],
)
def test_the_form_is_text_on_a_terminal_and_json_elsewhere(form: str, terminal: bool, is_json: bool) -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "text", (), None)
    line = formatter("api", form, Redactor(), terminal=terminal).format(record)
    assert line.startswith("{") == is_json


def test_every_line_about_one_job_is_given_its_ids() -> None:
    """Where jobs are worked on in batches there is no task of one job's own, whose facts a line would have."""
    calls = [
        (f"{path.name}:{call.lineno}", {keyword.arg for keyword in call.keywords})
        for room in ("pipelines", "workers", "scheduler", "api", "synthralos")
        for path in (ROOT / room).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and _logs(call) and "job %s" in str(getattr(call.args[0], "value", ""))
    ]
    assert calls
    assert [place for place, keywords in calls if "extra" not in keywords] == []


def _logs(call: ast.Call) -> bool:
    levels = {"debug", "info", "warning", "error", "exception"}
    return isinstance(call.func, ast.Attribute) and call.func.attr in levels and bool(call.args)
