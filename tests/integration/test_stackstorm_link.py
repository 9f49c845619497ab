"""The link to StackStorm over real sockets: what it answers, however StackStorm behaves, within its time."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from scheduler.stackstorm.link import Execution, Failed, StackStormLink, Stopped, Trouble, build_link
from synthralos.config.settings import load_settings
from tests.fakes.scripted_server import DROPPED, Answer
from tests.fakes.stackstorm_link import KEY, FakeStackStorm, stackstorm

RETRY = "synthralos.llm_retry"
TAG = "synthralos-repair-1"


@pytest.fixture
def fake() -> Iterator[FakeStackStorm]:
    with stackstorm() as running:
        yield running


def link_to(fake: FakeStackStorm, key: str = KEY, timeout: float = 10.0) -> StackStormLink:
    return StackStormLink(fake.url, key, True, timeout)


def started(link: StackStormLink) -> Execution:
    found = link.start(RETRY, {"job_id": "1", "repair_id": "2"}, TAG)
    assert isinstance(found, Execution), found
    return found


def test_an_execution_is_started_found_by_its_tag_looked_at_and_cancelled(fake: FakeStackStorm) -> None:
    link = link_to(fake)
    assert link.ping() is None
    assert link.find(TAG, RETRY) is None
    execution = started(link)
    [held] = fake.started()
    assert (held["parameters"], held["context"]["trace_context"]) == (
        {"job_id": "1", "repair_id": "2"}, {"trace_tag": TAG},
    )  # fmt: skip
    assert link.find(TAG, RETRY) == execution.id
    assert link.find(TAG, "synthralos.reroute_request") is None
    seen = link.look(execution.id)
    assert isinstance(seen, Execution)
    assert not seen.ended
    fake.finish(held, outcome="recovered", state="succeeded")
    seen = link.look(execution.id)
    assert isinstance(seen, Execution)
    assert (seen.ended, seen.status, seen.output["outcome"]) == (True, "succeeded", "recovered")
    other = started(link)
    link.cancel(other.id)
    assert fake.ended(fake.executions[other.id]) == "canceled"
    assert link.look("0" * 24) is None


@pytest.mark.parametrize(
    ("instead", "trouble"),
    [
        (Answer(200, b"<html>welcome</html>", {"Content-Type": "text/html"}), Trouble.WRONG),
        (Answer(200, b"{no json"), Trouble.WRONG),
        (Answer(200, b"[]"), Trouble.WRONG),
        (Answer(200, b'"text"'), Trouble.WRONG),
        (Answer(200, {"id": 7, "status": None}), Trouble.WRONG),
        (Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), Trouble.WRONG),
        (Answer(401, {"faultstring": f"key {KEY}"}), Trouble.REFUSED),
        (Answer(403, {"faultstring": "no"}), Trouble.REFUSED),
        (Answer(400, {"faultstring": f"no {KEY}"}), Trouble.REFUSED),
        (Answer(404, {"faultstring": "no"}), Trouble.REFUSED),
        (Answer(429, {"faultstring": "slowly"}), Trouble.AWAY),
        (Answer(500, b"<html>oops</html>"), Trouble.AWAY),
        (Answer(502, b""), Trouble.AWAY),
        (DROPPED, Trouble.AWAY),
        (Answer(200, {"id": "1"}, drop=True), Trouble.AWAY),
    ],
)
def test_whatever_is_answered_is_a_value_without_the_key(
    fake: FakeStackStorm, instead: Answer, trouble: Trouble
) -> None:
    fake.instead = instead
    failed = link_to(fake).start(RETRY, {"job_id": "1"}, TAG)
    assert isinstance(failed, Failed)
    assert failed.trouble is trouble
    assert KEY not in failed.detail


def test_a_wrong_key_and_a_missing_pack_are_told_with_the_remedy(fake: FakeStackStorm) -> None:
    refused = link_to(fake, key="wrong").ping()
    assert refused is not None
    assert (refused.status, "STACKSTORM_API_KEY" in refused.detail) == (401, True)
    fake.remove_pack()
    missing = link_to(fake).ping()
    assert missing is not None
    assert "install the pack" in missing.detail


def test_nobody_there_is_told_at_once() -> None:
    failed = StackStormLink("http://127.0.0.1:1/api/v1", KEY, True, 10.0).ping()
    assert failed is not None
    assert failed.trouble is Trouble.AWAY


def test_one_that_takes_the_call_and_is_silent_costs_no_more_than_the_time_out(fake: FakeStackStorm) -> None:
    fake.hang()
    began = time.monotonic()
    failed = link_to(fake, timeout=0.2).ping()
    assert failed is not None
    assert failed.trouble is Trouble.AWAY
    assert time.monotonic() - began < 30


def test_one_whose_answer_trickles_costs_no_more_than_the_time_out() -> None:
    over = threading.Event()
    link, stop = _trickling(over)
    failed = link.ping()
    over.set()
    stop()
    assert failed is not None
    assert failed.trouble is Trouble.AWAY


def _trickling(over: threading.Event) -> tuple[StackStormLink, Any]:
    """A link to a server that sends a byte of its answer at a time, faster than any time-out between two bytes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        line, _ = listening.accept()
        with line:
            line.recv(65_536)
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not over.wait(0.02):
                line.sendall(b" ")

    thread = threading.Thread(target=talk)
    thread.start()

    def stop() -> None:
        thread.join()
        listening.close()

    port = listening.getsockname()[1]
    return StackStormLink(f"http://127.0.0.1:{port}/api/v1", KEY, True, 0.3), stop


def test_who_waits_for_an_answer_is_let_go_when_the_process_stops(fake: FakeStackStorm) -> None:
    link = link_to(fake, timeout=60.0)
    fake.hang()
    ended: list[str] = []

    def wait() -> None:
        try:
            link.ping()
        except Stopped:
            ended.append("stopped")

    thread = threading.Thread(target=wait)
    thread.start()
    assert fake.arrived.wait(10)
    link.stop()
    thread.join(10)
    assert ended == ["stopped"]
    with pytest.raises(Stopped):
        link.ping()


def test_a_certificate_that_nobody_vouches_for_is_refused_and_an_authority_can_be_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with stackstorm() as fake:
        server = fake.server._server
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = fake.url.replace("http://", "https://")
        named: dict[str, Any] = {"stackstorm_api_url": url, "stackstorm_api_key": KEY}
        unknown = build_link(load_settings(**named))
        known = build_link(load_settings(**named, stackstorm_cacert=tmp_path / "ca.pem"))
        assert unknown is not None
        assert known is not None
        refused = unknown.ping()
        assert refused is not None
        assert (refused.trouble, "CERTIFICATE_VERIFY_FAILED" in refused.detail) == (Trouble.AWAY, True)
        assert known.ping() is None


def test_the_key_is_not_left_in_the_environment(fake: FakeStackStorm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ST2_API_KEY", raising=False)
    assert link_to(fake).ping() is None
    assert KEY not in str(dict(os.environ))
