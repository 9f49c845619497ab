"""The client of the sidecar, before servers that answer everything but what they should."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from pipelines.validation.breaker import FAILURES, Breaker
from pipelines.validation.protocol import Answer, Side, Verdict
from pipelines.validation.sidecar import GUARDRAILS, MOST_CHARACTERS, MOST_TEXTS, Sidecar
from synthralos.telemetry.families import VALIDATED
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages
from tests.fakes.scripted_server import DROPPED, Asked, ScriptedServer, scripted_server
from tests.fakes.scripted_server import Answer as Http

T = TypeVar("T")
PASSED = {"verdict": "passed", "reasons": []}


class Asking:
    """A client of one server, with what it has told of outages."""

    def __init__(self, url: str, seconds: float = 5.0, **more: Any) -> None:
        self.outages = Outages()
        self.metrics = Metrics()
        fails_open = more.pop("fails_open", True)
        self._make: Callable[[], Sidecar] = lambda: Sidecar(
            url, seconds, fails_open=fails_open, outages=self.outages, metrics=self.metrics, **more
        )

    def run(self, work: Callable[[Sidecar], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            sidecar = self._make()
            try:
                return await work(sidecar)
            finally:
                await sidecar.close()

        return asyncio.run(run())

    def ask(self, *texts: str, side: Side = Side.INPUT) -> list[Answer]:
        return self.run(lambda sidecar: sidecar.ask(side, texts))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.script = all_pass
        yield server


def all_pass(asked: Asked) -> Http:
    return Http(200, {"results": [PASSED] * len(asked.json()["texts"])})


def says(*results: Any) -> Callable[[Asked], Http]:
    return lambda _: Http(200, {"results": list(results)})


def test_answers_come_in_order_with_their_reasons(server: ScriptedServer) -> None:
    server.script = says(
        PASSED,
        {"verdict": "refused", "reasons": ["a", "b"]},
        {"verdict": "fixed", "reasons": ["c"], "text": "better"},
        {"verdict": "unseen", "reasons": ["d"], "late": True},
        {"verdict": "unseen", "reasons": ["e"], "late": False},
    )
    assert Asking(server.url).ask(*"abcde") == [
        Answer(Verdict.PASSED),
        Answer(Verdict.REFUSED, ("a", "b")),
        Answer(Verdict.FIXED, ("c",), "better"),
        Answer(Verdict.UNSEEN, ("d",), passing=True),
        Answer(Verdict.UNSEEN, ("e",), passing=False),
    ]


def test_a_batch_is_shown_in_few_requests_of_bounded_size(server: ScriptedServer) -> None:
    long = "x" * (MOST_CHARACTERS // 2)
    texts = ["a"] * (MOST_TEXTS + 1) + [long, long, long]
    assert len(Asking(server.url).ask(*texts, side=Side.OUTPUT)) == len(texts)
    bodies = [asked.json() for asked in server.asked]
    assert {body["guard"] for body in bodies} == {"output"}
    assert sorted(len(body["texts"]) for body in bodies) == [2, 2, MOST_TEXTS]
    assert all(0 < body["seconds"] < 5.0 for body in bodies)
    assert all(len(body["texts"]) == 1 or sum(map(len, body["texts"])) <= MOST_CHARACTERS for body in bodies)


def test_nothing_is_asked_about_nothing(server: ScriptedServer) -> None:
    assert Asking(server.url).ask() == []
    assert server.asked == []


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\x00", "\U0001f600", "\u202e", "é"])
def test_any_text_can_be_sent(server: ScriptedServer, text: str) -> None:
    assert Asking(server.url).ask(text) == [Answer(Verdict.PASSED)]
    [sent] = server.asked[0].json()["texts"]
    assert sent == text or "?" in sent


GARBAGE: list[Any] = [
    b"", b"null", b"[]", b"{", b"\xff\xfe", {"results": None}, {"results": [PASSED]}, {"results": [PASSED] * 3},
    {"results": [PASSED, None]}, {"results": [PASSED, {"verdict": "maybe", "reasons": []}]},
    {"results": [PASSED, {"verdict": "refused"}]}, {"results": [PASSED, {"verdict": "fixed", "reasons": []}]},
    {"results": [PASSED, {"verdict": "passed", "reasons": [], "text": "sneaked in"}]},
    {"results": [PASSED, {"verdict": "passed", "reasons": 1}]},
]  # fmt: skip


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_no_answer(server: ScriptedServer, body: Any) -> None:
    server.script = lambda _: Http(200, body)
    asking = Asking(server.url)
    answers = asking.ask("a", "b")
    assert [(answer.verdict, answer.passing) for answer in answers] == [(Verdict.UNSEEN, True)] * 2
    assert GUARDRAILS in asking.outages.seconds()


@pytest.mark.parametrize(
    "answer", [Http(500, {"problem": "x"}), Http(503, None), Http(400, {}), Http(204, None), DROPPED]
)
def test_errors_and_lost_connections_are_no_answers(server: ScriptedServer, answer: Http) -> None:
    server.script = lambda _: answer
    [unseen] = Asking(server.url).ask("private words")
    assert (unseen.verdict, unseen.passing) == (Verdict.UNSEEN, True)
    assert "private words" not in unseen.why


def test_what_is_too_large_will_not_pass_later_and_is_nobodys_outage(server: ScriptedServer) -> None:
    server.script = lambda _: Http(413, {"problem": "too large"})
    asking = Asking(server.url)
    assert [(a.verdict, a.passing) for a in asking.ask("a")] == [(Verdict.UNSEEN, False)]
    assert asking.outages.seconds() == {}


def test_nobody_there_is_told_and_then_found_again(server: ScriptedServer) -> None:
    asking = Asking(server.url)
    server.script = lambda _: DROPPED

    async def twice(sidecar: Sidecar) -> list[Verdict]:
        [before] = await sidecar.ask(Side.INPUT, ["a"])
        assert GUARDRAILS in asking.outages.seconds()
        server.script = all_pass
        [after] = await sidecar.ask(Side.INPUT, ["a"])
        return [before.verdict, after.verdict]

    assert asking.run(twice) == [Verdict.UNSEEN, Verdict.PASSED]
    assert asking.outages.seconds() == {}


def test_with_an_open_breaker_nobody_is_asked_until_a_probe_works(server: ScriptedServer) -> None:
    now = [0.0]
    server.script = lambda _: Http(500, {})

    async def fail_and_recover(sidecar: Sidecar) -> list[tuple[Verdict, int]]:
        seen = []
        for at, script in [(0, None)] * (FAILURES + 2) + [(2.5, all_pass), (2.6, None)]:
            now[0] = at
            server.script = script or server.script
            [answer] = await sidecar.ask(Side.INPUT, ["a"])
            seen.append((answer.verdict, len(server.asked)))
        return seen

    seen = Asking(server.url, breaker=Breaker(lambda: now[0])).run(fail_and_recover)
    failing = [(Verdict.UNSEEN, asked + 1) for asked in range(FAILURES)]
    assert seen == [
        *failing, (Verdict.UNSEEN, FAILURES), (Verdict.UNSEEN, FAILURES),
        (Verdict.PASSED, FAILURES + 1), (Verdict.PASSED, FAILURES + 2),
    ]  # fmt: skip


def test_every_text_is_counted_by_its_verdict(server: ScriptedServer) -> None:
    server.script = says(PASSED, {"verdict": "refused", "reasons": ["a"]})
    asking = Asking(server.url)
    asking.ask("a", "b", side=Side.OUTPUT)
    counters = asking.metrics.counters(VALIDATED)
    counts = {verdict: counters[Side.OUTPUT, verdict]._value.get() for verdict in (Verdict.PASSED, Verdict.REFUSED)}
    assert counts == {Verdict.PASSED: 1, Verdict.REFUSED: 1}


def test_proxies_of_the_environment_get_no_prompt(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", "")
    assert Asking(server.url).ask("a") == [Answer(Verdict.PASSED)]
    assert json.loads(server.asked[0].body)["texts"] == ["a"]
