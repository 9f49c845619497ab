"""Similar prompts on real workers: what is logged, what other processes find, and results that are reused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.config.settings import SettingsError
from synthralos.domain.findings import Decision
from synthralos.domain.jobs import Constraints, NewJob, Tenant
from synthralos.domain.states import State
from synthralos.store.tables import prompt_similarity_logs
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, scripted_server
from tests.fakes.sentence_encoders import encoder_folder
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, worker_place

PROMPT = "Name three rivers of Europe and say where they end."
NEAR = f"Hello! {PROMPT} Thanks"


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


def logged(place: WorkerPlace, job_id: str) -> Any:
    logs = prompt_similarity_logs
    with place.store.database.snapshot() as connection:
        return connection.execute(sa.select(logs).where(logs.c.job_id == job_id)).one_or_none()


def allowing(text: str = PROMPT, **more: Any) -> NewJob:
    return new_job(text, constraints=Constraints(reuse="allow", **more))


def test_a_prompt_is_logged_with_its_best_match(place: WorkerPlace) -> None:
    place.worker()
    first = place.run(new_job(PROMPT))
    second = place.run(new_job(PROMPT.upper()))
    assert first["verdict"] is None or first["verdict"]["decision"] == Decision.ALLOW
    row = logged(place, second["id"])
    assert (row.matched_job_id, row.score, row.organization) == (first["id"], 1.0, "acme")
    assert row.matches == [{"job_id": first["id"], "score": 1.0, "exact": True}]
    assert row.fingerprint == logged(place, first["id"]).fingerprint
    assert logged(place, first["id"]).matched_job_id is None
    assert second["verdict"]["findings"][0]["signals"]["repeats"] == 1


def test_a_process_that_starts_later_knows_what_was_asked(place: WorkerPlace) -> None:
    first_worker = place.worker()
    first = place.run(new_job(PROMPT))
    place.stop(first_worker)
    place.worker()
    second = place.run(new_job(PROMPT))
    assert logged(place, second["id"]).matched_job_id == first["id"]


def test_a_result_is_reused_without_a_call_where_the_job_allows_it(place: WorkerPlace) -> None:
    place.worker()
    first = place.run(new_job(PROMPT))
    second = place.run(allowing())
    assert second["state"] == State.SUCCEEDED
    assert second["result"]["text"] == first["result"]["text"]
    assert (second["result"]["reused_from"], second["result"]["usage"]) == (first["id"], None)
    assert place.store.attempts(second["id"]) == []
    assert second["verdict"]["decision"] == Decision.REUSE
    # What is reused again is the result that was paid for.
    third = place.run(allowing())
    assert third["result"]["reused_from"] == first["id"]


def test_only_equal_requests_of_the_tenant_that_allow_it_reuse_a_result(place: WorkerPlace) -> None:
    place.worker()
    place.run(new_job(PROMPT))
    others = [
        new_job(PROMPT),
        allowing(PROMPT.upper()),
        allowing(classification="eu"),
        new_job(PROMPT, constraints=Constraints(reuse="allow"), tenant=Tenant("globex", "main", "ann", "pro")),
        new_job(PROMPT, constraints=Constraints(reuse="allow"), tenant=Tenant("acme", "other", "ann", "pro")),
        new_job(PROMPT, constraints=Constraints(reuse="allow"), body={"temperature": 0.5}),
    ]
    for job in others:
        row = place.run(job)
        assert row["state"] == State.SUCCEEDED
        assert len(place.store.attempts(row["id"])) == 1


def test_a_failed_job_answers_nobody(place: WorkerPlace) -> None:
    place.worker()
    failing = {"sandbox": {"failures": ["invalid_request"]}}
    first = place.run(new_job(PROMPT, provider_options=failing))
    assert first["state"] == State.FAILED
    second = place.run(new_job(PROMPT, provider_options=failing, constraints=Constraints(reuse="allow")))
    assert second["state"] == State.FAILED
    assert len(place.store.attempts(second["id"])) == 1


def test_near_prompts_are_found_by_a_process_that_starts_later_whatever_the_organization_is_called(
    place: WorkerPlace,
) -> None:
    tenant = Tenant("Müller & Söhne, acme-inc.", "main")
    first_worker = place.worker()
    first = place.run(new_job(PROMPT, tenant=tenant))
    place.stop(first_worker)
    place.worker()
    near = place.run(new_job(NEAR, tenant=tenant))
    row = logged(place, near["id"])
    assert (row.matched_job_id, row.matches[0]["exact"]) == (first["id"], False)


def test_a_worker_places_prompts_with_an_endpoint_and_says_so_beside_each_vector(place: WorkerPlace) -> None:
    with scripted_server() as server:
        server.script = embeddings
        place.worker(similarity_embedder="openai", similarity_url=server.url, similarity_model="small")
        first = place.run(new_job(PROMPT))
        near = place.run(new_job(NEAR))
        kept = place.run(new_job("Who wrote to jo@example.com, and why?"))
    assert [logged(place, job["id"]).embedder for job in (first, near, kept)] == ["openai/small/8"] * 2 + ["ngrams-1"]
    assert logged(place, near["id"]).matched_job_id == first["id"]
    assert all("jo@" not in text for asked in server.asked for text in asked.json()["input"])


def test_a_worker_places_prompts_with_an_encoder_of_its_own_those_of_the_eu_too(
    place: WorkerPlace, tmp_path: Path
) -> None:
    folder = encoder_folder(tmp_path / "small", {"rivers": [1.0, *[0.0] * 7]})
    place.worker(similarity_embedder="sentence-transformers", similarity_model=str(folder))
    first = place.run(new_job(PROMPT))
    near = place.run(new_job(NEAR))
    bound = place.run(new_job(PROMPT + " I am jo@example.com.", constraints=Constraints(classification="eu")))
    made_by = [logged(place, job["id"]).embedder for job in (first, near, bound)]
    assert made_by == ["sentence-transformers/small/8"] * 3
    assert logged(place, near["id"]).matched_job_id == first["id"]


def test_a_worker_that_is_to_use_a_model_that_is_not_there_says_so(place: WorkerPlace) -> None:
    with pytest.raises(SettingsError, match="SIMILARITY_MODEL: 'no-model'"):
        place.worker(similarity_embedder="sentence-transformers", similarity_model="no-model")


def embeddings(asked: Asked) -> Answer:
    """All texts lie in about the same direction: the close look tells them apart."""
    texts = asked.json()["input"]
    return Answer(200, {"data": [{"index": n, "embedding": [1.0] * 7 + [len(t) / 99]} for n, t in enumerate(texts)]})


def test_a_worker_that_is_to_search_with_an_extension_that_is_not_there_says_what_to_do(place: WorkerPlace) -> None:
    with pytest.raises(SettingsError, match="CREATE EXTENSION vector"):
        place.worker(similarity_search="pgvector")
