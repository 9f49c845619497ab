"""The demo, as a process, and what it is made of."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from demo.scenarios import SCENARIOS, orders, prompts
from demo.summary import percentiles
from tests.fakes.commands import arguments, environment


def test_a_small_demo_shows_every_kind_of_outcome_and_the_books_agree(tmp_path: Path) -> None:
    # A key in the environment must not bring a provider that costs money into it.
    done = subprocess.run(
        arguments("--json", "demo", "--prompts", "30", "--database", str(tmp_path / "demo.db")),
        env=environment(OPENAI_API_KEY="sk-not-to-be-used"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert {"succeeded", "failed", "denied", "cancelled"} <= set(told["states"])
    assert sum(told["states"].values()) == 30
    assert told["books_agree"]
    assert told["retries"] > 0
    assert told["fallbacks"] > 0
    assert all(name.startswith("sandbox/") for name in told["models"])
    assert set(told["latency_seconds"]) == {"p50", "p95", "p99"}
    assert told["troubles"]["oversized for the free plan"] == {"denied": 1}
    assert told["troubles"]["EU data, rate limited for 1 s"] == {"succeeded": 1}


def test_the_shipped_prompts_are_many_and_diverse() -> None:
    shipped = prompts()
    assert 190 <= len(shipped) <= 230
    assert len({prompt["id"] for prompt in shipped}) == len(shipped)
    assert len({json.dumps(prompt.get("prompt") or prompt["messages"]) for prompt in shipped}) == len(shipped)
    assert len({prompt["lang"] for prompt in shipped}) >= 15
    assert len({prompt["task"] for prompt in shipped}) >= 12


def test_the_same_prompts_always_make_the_same_jobs() -> None:
    assert orders() == orders()


def test_about_fifteen_percent_of_the_jobs_meet_trouble() -> None:
    placed = orders()
    troubled = Counter(order.scenario.name for order in placed if order.scenario is not None)
    assert set(troubled) == {scenario.name for scenario in SCENARIOS}
    assert 0.12 <= troubled.total() / len(placed) <= 0.2


@pytest.mark.parametrize(("percent", "expected"), [("p50", 50.0), ("p95", 95.0), ("p99", 99.0)])
def test_percentiles_are_by_nearest_rank(percent: str, expected: float) -> None:
    assert percentiles([float(n) for n in range(1, 101)])[percent] == expected
