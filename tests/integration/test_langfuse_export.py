"""Langfuse: what arrives in a project (spans, scores, links), and what is made of Langfuse's answers."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from pipelines.analyze.exporters import langfuse_spans
from pipelines.analyze.exporters.langfuse import LangfuseExporter
from pipelines.analyze.exporters.langfuse_spans import Filing, short_id
from pipelines.analyze.table import build_exporters
from synthralos.config.settings import Settings, SettingsError, load_settings
from synthralos.domain.flags import Flag
from tests.fakes.exports import Langfuse, attributes_of, decoded, full_trace, spans_of
from tests.fakes.scripted_server import DROPPED, Answer, Asked, scripted_server

KEYS: dict[str, Any] = {"langfuse_public_key": "pk-lf-1", "langfuse_secret_key": "sk-lf-canary"}
SPANS, SCORES = "/api/public/otel/v1/traces", "/api/public/scores"


@pytest.fixture
def langfuse() -> Iterator[Langfuse]:
    with scripted_server() as server:
        yield Langfuse(server)


def exporter(langfuse: Langfuse, **more: Any) -> LangfuseExporter:
    chosen = Settings(langfuse_host=langfuse.server.url, langfuse_timeout=5, **{**KEYS, **more})
    return LangfuseExporter(chosen, "1.2.3")


def shipped(langfuse: Langfuse, trace: dict[str, Any], **more: Any) -> dict[str, dict[str, Any]]:
    """The attributes of the spans that arrived, by name."""
    with closing(exporter(langfuse, **more)) as made:
        assert made.ship([trace]).accepted == [trace["job"]["id"]]
    return {span.name: attributes_of(span) for span in langfuse.of(trace["job"]["id"])}


def test_the_attributes_are_those_of_the_sdk() -> None:
    from langfuse._client.attributes import LangfuseOtelSpanAttributes

    known = {value for name, value in vars(LangfuseOtelSpanAttributes).items() if name.isupper()}
    spans = langfuse_spans.langfuse_spans(full_trace(), Filing("production", "1"))
    ours = {name for span in spans for name in span.attributes if name.startswith("langfuse.")}
    metadata = ("langfuse.trace.metadata.", "langfuse.observation.metadata.")
    assert {name for name in ours if not name.startswith(metadata)} <= known
    assert "langfuse.observation.usage_details" in ours


def test_a_job_is_a_trace_with_generations_guards_routing_and_thoughts(langfuse: Langfuse) -> None:
    trace = full_trace()
    found = shipped(langfuse, trace)
    types = {name: seen["langfuse.observation.type"] for name, seen in found.items()}
    assert types == {
        "job": "span",
        "guard": "guardrail",
        "route": "span",
        "chat small": "generation",
        "thought": "event",
    }
    [answered] = [
        seen
        for span in langfuse.of(trace["job"]["id"])
        if "langfuse.observation.usage_details" in (seen := attributes_of(span))
    ]
    usage = json.loads(answered["langfuse.observation.usage_details"])
    assert usage == {
        "input": 900, "output": 450, "total": 1500, "input_cached_tokens": 100, "output_reasoning_tokens": 50,
    }  # fmt: skip
    assert answered["langfuse.observation.cost_details"] == '{"total":0.0004425}'
    assert answered["langfuse.observation.model.name"] == "small-2026"
    assert json.loads(answered["langfuse.observation.model.parameters"]) == {"temperature": 0.5}
    assert (answered["langfuse.observation.output"], found["job"]["langfuse.observation.output"]) == ("Paris", "Paris")
    assert found["thought"]["langfuse.observation.output"] == "France it is"
    assert found["guard"]["langfuse.observation.level"] == "WARNING"
    assert json.loads(found["guard"]["langfuse.observation.output"])["decision"] == "flag"
    assert "plan" not in found["route"]
    assert json.loads(found["route"]["langfuse.observation.output"])["cursor"] == 1


def test_a_failed_call_is_an_error_without_usage_and_cost(langfuse: Langfuse) -> None:
    trace = full_trace()
    shipped(langfuse, trace)
    spans = [attributes_of(span) for span in langfuse.of(trace["job"]["id"]) if span.name == "chat small"]
    [failed] = [seen for seen in spans if seen.get("langfuse.observation.level") == "ERROR"]
    assert failed["langfuse.observation.status_message"] == "500 from a test"
    assert "langfuse.observation.cost_details" not in failed


def test_user_session_tags_environment_and_version_are_on_every_span(langfuse: Langfuse) -> None:
    for seen in shipped(langfuse, full_trace(), langfuse_tracing_environment="production").values():
        assert (seen["user.id"], seen["session.id"]) == ("ann", "run-7")
        assert seen["langfuse.environment"] == "production"
        assert seen["langfuse.version"] == seen["langfuse.release"] == "1.2.3"
        assert {"bulk", "acme", "team=blue", "n=7"} == set(seen["langfuse.trace.tags"])


def test_our_trace_is_linked_both_ways(langfuse: Langfuse) -> None:
    trace = full_trace()
    found = shipped(langfuse, trace)
    assert langfuse.root(trace["job"]["id"]).trace_id.hex() == trace["job"]["trace_id"]
    assert json.loads(found["job"]["langfuse.trace.metadata.job_id"]) == trace["job"]["id"]
    with closing(exporter(langfuse)) as made:
        link = made.link()
        assert link == made.link() == f"{langfuse.server.url}/project/project-1/traces/{{trace_id}}"
    assert [asked.path for asked in langfuse.server.asked].count("/api/public/projects") == 1


def test_guard_schema_and_feedback_are_scores_and_a_repeat_overwrites(langfuse: Langfuse) -> None:
    trace = full_trace()
    with closing(exporter(langfuse)) as made:
        made.ship([trace])
        once = dict(langfuse.scores)
        spans = set(langfuse.spans)
        trace["feedback"][0]["score"] = 0.9
        made.ship([trace])
    assert langfuse.scores_of(trace["job"]["id"]) == {"guard": "flag", "schema": 1, "helpful": 0.9}
    assert (set(langfuse.scores), set(langfuse.spans)) == (set(once), spans)
    assert {score["traceId"] for score in langfuse.scores.values()} == {trace["job"]["trace_id"]}
    assert {score["timestamp"] for score in langfuse.scores.values()} == {trace["job"]["created_at"]}
    assert all(len(key) <= 200 and key.isascii() for key in langfuse.scores)


def test_the_requests_are_the_projects_own(langfuse: Langfuse) -> None:
    shipped(langfuse, full_trace())
    paths = [asked.path for asked in langfuse.server.asked]
    assert paths == [SPANS, SCORES]
    for asked in langfuse.server.asked:
        assert asked.headers["authorization"] == "Basic " + b64encode(b"pk-lf-1:sk-lf-canary").decode()
        assert asked.headers["x-langfuse-public-key"] == "pk-lf-1"
    assert langfuse.server.asked[0].headers["x-langfuse-ingestion-version"] == "4"


def judge_spans(langfuse: Langfuse, answer: Answer) -> None:
    langfuse.judge = lambda asked: answer if asked.path == SPANS else None


def judge_scores(langfuse: Langfuse, answer: Answer) -> None:
    langfuse.judge = lambda asked: answer if asked.path == SCORES else None


@pytest.mark.parametrize("judge", [judge_spans, judge_scores])
def test_a_refused_key_stops(langfuse: Langfuse, judge: Any) -> None:
    judge(langfuse, Answer(401, {"message": "Invalid credentials"}))
    with closing(exporter(langfuse)) as made:
        answer = made.ship([full_trace()])
    assert answer.accepted == []
    assert answer.rest is not None
    assert answer.rest.stopped


@pytest.mark.parametrize("judge", [judge_spans, judge_scores])
def test_a_busy_langfuse_is_left_alone_for_as_long_as_it_says(langfuse: Langfuse, judge: Any) -> None:
    judge(langfuse, Answer(429, {"message": "slow down"}, {"Retry-After": "11"}))
    with closing(exporter(langfuse)) as made:
        rest = made.ship([full_trace()]).rest
    assert rest is not None
    assert (rest.seconds, rest.stopped) == (11, False)


def test_scores_are_not_taken_where_the_answer_cannot_be_read(langfuse: Langfuse) -> None:
    judge_scores(langfuse, Answer(200, b"ok, I guess", {"Content-Type": "text/plain"}))
    with closing(exporter(langfuse)) as made, pytest.raises(ConnectionError):
        made.ship([full_trace()])


@pytest.mark.parametrize("judge", [judge_spans, judge_scores])
@pytest.mark.parametrize("answer", [Answer(500, {}), DROPPED, Answer(202, b"{", drop=True)], ids=["500", "cut", "half"])
def test_what_does_not_answer_accepts_nothing(langfuse: Langfuse, judge: Any, answer: Answer) -> None:
    judge(langfuse, answer)
    trace = full_trace()
    with closing(exporter(langfuse)) as made:
        with pytest.raises(ConnectionError):
            made.ship([trace])
        langfuse.judge = lambda asked: None
        assert made.ship([trace]).accepted == [trace["job"]["id"]]


def test_a_score_that_is_refused_sets_its_trace_aside_and_no_other(langfuse: Langfuse) -> None:
    langfuse.poisoned.add("cursed")
    traces = [full_trace() for _ in range(5)]
    bad = traces[2]["job"]["id"]
    traces[2]["feedback"][0]["label"] = "cursed"
    with closing(exporter(langfuse)) as made:
        told = made.ship(traces)
    assert set(told.accepted) == {trace["job"]["id"] for trace in traces} - {bad}
    assert "cursed is refused" in told.refused[bad]
    assert len({score["traceId"] for score in langfuse.scores.values()}) == 5


def test_spans_that_are_refused_in_part_are_found(langfuse: Langfuse) -> None:
    traces = [full_trace() for _ in range(4)]
    bad = traces[1]["job"]

    def judge(asked: Asked) -> Answer | None:
        holds = asked.path == SPANS and bad["trace_id"] in {span.trace_id.hex() for span in spans_of(decoded(asked))}
        return Answer(207, {"errors": [{"id": "x", "status": 400}]}) if holds else None

    langfuse.judge = judge
    with closing(exporter(langfuse)) as made:
        told = made.ship(traces)
    assert (set(told.refused), len(told.accepted)) == ({bad["id"]}, 3)


def test_a_trace_that_is_too_large_alone_is_trimmed_with_a_marker(langfuse: Langfuse) -> None:
    trace = full_trace("x" * 4_000_000)
    found = shipped(langfuse, trace)
    assert "trimmed: 4000" in found["job"]["langfuse.observation.input"]
    assert len(langfuse.server.asked[0].body) < 100_000


def test_ids_are_short_ascii_and_of_one_text_alone() -> None:
    assert short_id("ann") == "ann"
    long, other = "é" * 300, "é" * 299 + "è"
    assert len(short_id(long)) <= 200
    assert short_id(long).isascii()
    assert short_id(long) != short_id(other)


def test_the_flag_is_langfuses_and_the_residency_as_declared(langfuse: Langfuse) -> None:
    with closing(exporter(langfuse, langfuse_residency=" EU ")) as made:
        assert made.destination.flag is Flag.ENABLE_LANGFUSE_EXPORT
        assert made.destination.residency == "eu"


WRONG: dict[str, dict[str, Any]] = {
    "LANGFUSE_HOST": KEYS,
    "LANGFUSE_SECRET_KEY": {"langfuse_host": "http://127.0.0.1:1", "langfuse_public_key": "pk"},
    "LANGFUSE_TRACING_ENVIRONMENT": {"langfuse_tracing_environment": "langfuse-x"},
}


@pytest.mark.parametrize(("name", "wrong"), WRONG.items(), ids=WRONG)
def test_a_wrong_setting_is_named(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings(**wrong)


def test_the_key_is_shown_nowhere(langfuse: Langfuse) -> None:
    chosen = Settings(langfuse_host=langfuse.server.url, **KEYS)
    assert chosen.export_secrets == {"sk-lf-canary"}
    assert "sk-lf-canary" not in repr(chosen) + repr(build_exporters(chosen))
