"""What is posted to Langfuse of scores is what its own SDK would post there."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from langfuse import __version__ as sdk_version
from langfuse.api import LangfuseAPI

from pipelines.analyze.exporters.langfuse import LangfuseExporter
from pipelines.analyze.exporters.langfuse_spans import scores
from synthralos.config.settings import Settings
from tests.fakes.exports import Langfuse, full_trace
from tests.fakes.scripted_server import Asked, scripted_server

HEADERS = (
    "authorization", "content-type", "x-langfuse-public-key", "x-langfuse-sdk-name", "x-langfuse-sdk-version",
)  # fmt: skip


@pytest.fixture
def langfuse() -> Iterator[Langfuse]:
    with scripted_server() as server:
        yield Langfuse(server)


def exporter(langfuse: Langfuse) -> LangfuseExporter:
    settings: dict[str, Any] = {"langfuse_public_key": "pk-lf-1", "langfuse_secret_key": "sk-lf-canary"}
    return LangfuseExporter(Settings(langfuse_host=langfuse.server.url, langfuse_timeout=5, **settings), "1.2.3")


def of_the_sdk(langfuse: Langfuse, wanted: list[dict[str, Any]]) -> Asked:
    """The request in which the SDK posts the same scores."""
    with httpx.Client() as client:
        api = LangfuseAPI(
            base_url=langfuse.server.url,
            username="pk-lf-1",
            password="sk-lf-canary",
            x_langfuse_sdk_name="python",
            x_langfuse_sdk_version=sdk_version,
            x_langfuse_public_key="pk-lf-1",
            httpx_client=client,
        )
        api.scores.create(request=wanted)
    return langfuse.server.asked[-1]


def test_scores_are_posted_as_the_sdk_posts_them(langfuse: Langfuse) -> None:
    traces = [full_trace() for _ in range(3)]
    with closing(exporter(langfuse)) as made:
        assert len(made.ship(traces).accepted) == len(traces)
    ours = langfuse.server.asked[-1]
    theirs = of_the_sdk(langfuse, [score for trace in traces for score in scores(trace, "default")])
    assert (ours.method, ours.path, ours.json()) == (theirs.method, theirs.path, theirs.json())
    assert len(ours.json()) >= 2 * len(traces)
    assert {name: ours.headers[name] for name in HEADERS} == {name: theirs.headers[name] for name in HEADERS}
