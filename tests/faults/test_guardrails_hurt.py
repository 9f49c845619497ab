"""The sidecar of guardrails-ai is killed, and hangs, in the middle of its work: how long that holds up who asks."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from pipelines.validation.breaker import FAILURES, PAUSE, Breaker
from pipelines.validation.protocol import Answer, Side, Verdict
from pipelines.validation.sidecar import Sidecar
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages
from tests.fakes.guardrails_process import MAKING_TIMES_OUT, SidecarProcess, sidecar_process

pytestmark = MAKING_TIMES_OUT

GUARDS = """
[[input]]
validator = "banned_words"
words = ["forbidden"]

[[output]]
validator = "hanging:Hangs"
"""

HANGS = '''
from pathlib import Path
from guardrails.validator_base import PassResult, Validator, register_validator


@register_validator(name="hanging/hangs", data_type="string")
class Hangs(Validator):
    """Says through one pipe that it is at work, and waits for a word from the other."""

    def _validate(self, value, metadata):
        here = Path(__file__).parent
        here.joinpath("begun").write_text("x")
        here.joinpath("go_on").read_text()
        return PassResult()
'''


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SidecarProcess]:
    folder = tmp_path_factory.mktemp("sidecar")
    (folder / "hanging.py").write_text(HANGS)
    for pipe in ("begun", "go_on"):
        os.mkfifo(folder / pipe)
    with sidecar_process(folder, GUARDS) as sidecar:
        yield sidecar


@pytest.fixture
def sidecar(running: SidecarProcess) -> Iterator[SidecarProcess]:
    yield running
    running.go_on()


def asked(sidecar: SidecarProcess, work: Callable[[Sidecar], Awaitable[None]], seconds: float = 20.0) -> None:
    """Run `work` with a client of the sidecar."""

    async def run() -> None:
        client = Sidecar(
            sidecar.url, seconds, fails_open=True, outages=Outages(), metrics=Metrics(), breaker=Breaker(lambda: now[0])
        )
        try:
            await work(client)
        finally:
            await client.close()

    now[0] = 0.0
    asyncio.run(run())


now = [0.0]
"""The breaker's clock."""


async def at_work(sidecar: SidecarProcess, client: Sidecar) -> asyncio.Task[list[Answer]]:
    """A question whose validator has begun, and does not end."""
    asking = asyncio.create_task(client.ask(Side.OUTPUT, ["text"]))
    await asyncio.to_thread((sidecar.folder / "begun").read_text)
    return asking


def test_killed_in_the_middle_it_is_missed_at_once(sidecar: SidecarProcess) -> None:
    async def work(client: Sidecar) -> None:
        asking = await at_work(sidecar, client)
        began = time.monotonic()
        sidecar.kill()
        [answer] = await asking
        assert (answer.verdict, answer.passing) == (Verdict.UNSEEN, True)
        assert time.monotonic() - began < 10
        sidecar.start()
        assert await client.ask(Side.INPUT, ["fine"]) == [Answer(Verdict.PASSED)]

    asked(sidecar, work)


def test_hanging_in_the_middle_it_is_waited_for_no_longer_than_its_time(sidecar: SidecarProcess) -> None:
    async def work(client: Sidecar) -> None:
        asking = await at_work(sidecar, client)
        sidecar.stop()
        began = time.monotonic()
        [answer] = await asking
        assert (answer.verdict, answer.passing) == (Verdict.UNSEEN, True)
        assert time.monotonic() - began < 10
        sidecar.go_on()
        await asyncio.to_thread((sidecar.folder / "go_on").write_text, "x")

    asked(sidecar, work, seconds=2.0)


def test_a_validator_that_hangs_holds_up_nobody_else(sidecar: SidecarProcess) -> None:
    async def work(client: Sidecar) -> None:
        asking = await at_work(sidecar, client)
        said = await client.ask(Side.INPUT, ["fine", "forbidden"])
        assert [answer.verdict for answer in said] == [Verdict.PASSED, Verdict.REFUSED]
        await asyncio.to_thread((sidecar.folder / "go_on").write_text, "x")
        assert await asking == [Answer(Verdict.PASSED)]

    asked(sidecar, work)


def test_the_breaker_opens_before_one_that_hangs_and_closes_when_it_goes_on(sidecar: SidecarProcess) -> None:
    async def work(client: Sidecar) -> None:
        sidecar.stop()
        for _ in range(FAILURES):
            await client.ask(Side.INPUT, ["forbidden"])
        began = time.monotonic()
        for _ in range(1_000):
            [answer] = await client.ask(Side.INPUT, ["forbidden"])
            assert answer.verdict is Verdict.UNSEEN
        assert time.monotonic() - began < 10
        sidecar.go_on()
        assert (await client.ask(Side.INPUT, ["forbidden"]))[0].verdict is Verdict.UNSEEN
        now[0] = PAUSE
        assert (await client.ask(Side.INPUT, ["forbidden"]))[0].verdict is Verdict.REFUSED

    asked(sidecar, work, seconds=1.0)


def test_ten_megabytes_and_odd_characters_come_through_whole(sidecar: SidecarProcess) -> None:
    texts = ["\x00\ud800😀\u202e " * 2_000_000, "word " * 2_000_000 + "forb\u200bidden", "\x00", "\ud800", "\ufeff"]

    async def work(client: Sidecar) -> None:
        said = await client.ask(Side.INPUT, texts)
        passed = Verdict.PASSED
        assert [answer.verdict for answer in said] == [passed, Verdict.REFUSED, passed, passed, passed]

    asked(sidecar, work, seconds=60.0)
