"""Embedding jobs on their way in, and to deployments that make embeddings alone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.guard.prompt_size import PromptSizeGuard
from pipelines.intake.catalog_checks import CatalogChecks
from pipelines.intake.embedding import MOST_INPUTS
from pipelines.intake.errors import InvalidJob
from pipelines.intake.parse import build, parse
from pipelines.privacy.kinds import Kind
from pipelines.privacy.redaction import redact
from pipelines.providers.table import check_deployment
from pipelines.route.observed import NOTHING
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import strategies
from pipelines.tokens import TokenCounter
from synthralos.config.catalog import CatalogError, load_catalog
from synthralos.config.quality import built_in_quality
from synthralos.domain.deployments import Capability, Catalog
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import NewJob, Request
from synthralos.domain.limits import DEFAULT_LIMITS
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.scope import EVERYTHING
from tests.fakes.stage_jobs import a_deployment, a_job

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHECKS = CatalogChecks(load_catalog(None))
SMALL = {"kind": "embedding", "model": "openai/text-embedding-3-small", "input": ["one", "two"]}
EMBEDS = frozenset({Capability.EMBEDDINGS})


def taken(**changes: Any) -> NewJob:
    [job] = build(parse({**SMALL, **changes}, CHECKS, NOW), EVERYTHING, {"default": "pro"}, None, NOW)
    return job


def test_an_embedding_is_stored_as_it_was_sent() -> None:
    job = taken(dimensions=64, encoding_format="base64", metadata={"a": 1}, lane="bulk")
    body = {"kind": "embedding", "input": ["one", "two"], "dimensions": 64, "encoding_format": "base64"}
    assert (job.request.model, job.request.body) == (SMALL["model"], body)
    assert job.request.texts() == ["one", "two"]
    assert job.request.max_output_tokens == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": "auto"}, "model"),
        ({"model": "no/such"}, "model"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": "  "}, "input"),
        ({"input": ["a", "\n"]}, "input[1]"),
        ({"input": ["a"] * (MOST_INPUTS + 1)}, "input"),
        ({"input": ["x" * 6_000_000] * 3}, "input"),
        ({"input": [1, 2]}, "input[0]"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 5_000}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"messages": []}, "messages"),
        ({"stream": True}, "stream"),
        ({"kind": "picture", "input": None}, "kind"),
    ],
)
def test_what_is_wrong_with_an_embedding_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidJob) as raised:
        taken(**changes)
    assert field in [error.field for error in raised.value.errors]


def test_private_values_of_its_texts_are_replaced() -> None:
    request = Request("m", {"kind": "embedding", "input": ["write to a.b@example.com", "and no one else"]})
    redacted = redact(request, frozenset({Kind.EMAIL})).request
    assert redacted.body["input"] == ["write to [EMAIL_1]", "and no one else"]
    single = Request("m", {"kind": "embedding", "input": "a.b@example.com"})
    assert redact(single, frozenset({Kind.EMAIL})).request.body["input"] == "[EMAIL_1]"


def test_findings_name_the_field_that_the_sender_knows() -> None:
    guard = PromptSizeGuard(Catalog([a_deployment()]), TokenCounter(), lambda *_: DEFAULT_LIMITS["free"])
    [finding] = guard.inspect([a_job(body={"kind": "embedding", "input": "word " * 400_000})])
    assert finding is not None
    assert finding.reason.startswith("input has")


def routed(body: dict[str, Any], catalog: Catalog) -> RoutingPlan | Failure:
    stage = RouteStage(catalog, strategies(built_in_quality(), lambda: NOTHING), lambda _: None)
    [outcome] = stage.plan([a_job(body=body)])
    return outcome


def test_chats_and_embeddings_never_go_to_the_same_deployment() -> None:
    catalog = Catalog(
        [a_deployment("a/chat@us"), a_deployment("a/vectors@us", capabilities=EMBEDS, price=("0.1", "0"))]
    )
    chat, vectors = routed({}, catalog), routed({"kind": "embedding", "input": "x"}, catalog)
    assert isinstance(chat, RoutingPlan)
    assert isinstance(vectors, RoutingPlan)
    assert [step.deployment for step in chat.steps] == ["a/chat@us"]
    assert [step.deployment for step in vectors.steps] == ["a/vectors@us"]


def test_a_window_is_for_one_text_and_the_cost_for_all() -> None:
    catalog = Catalog([a_deployment("a/vectors@us", window=1_000, capabilities=EMBEDS, price=("1", "0"))])
    many = routed({"kind": "embedding", "input": ["word " * 500] * 10}, catalog)
    assert isinstance(many, RoutingPlan)
    [step] = many.steps
    assert step.estimated_cost is not None
    assert 0.005 <= step.estimated_cost <= 0.007
    long = routed({"kind": "embedding", "input": ["word " * 3_000, "short"]}, catalog)
    assert isinstance(long, Failure)
    assert "longest input" in long.message


def test_an_adapter_without_embeddings_refuses_such_a_deployment() -> None:
    with pytest.raises(CatalogError, match="capabilities"):
        check_deployment(a_deployment("anthropic/x@us", adapter="anthropic", capabilities=EMBEDS))
