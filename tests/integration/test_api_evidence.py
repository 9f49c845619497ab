"""Evidence over HTTP and with the clients: who may see it, and that it is as the document says."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from api.v1.evidence_views import EvidenceView
from synthralos.domain.evidence import Grounds
from synthralos.domain.findings import Decision
from synthralos.domain.ids import new_id
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.domain.states import Transition
from synthralos.domain.writes import Written
from synthralos.store.sql.database import Database
from synthralos_client import AsyncClient, Client
from tests.fakes.jobs import attempt_end, plan, settlement, start
from tests.integration.api_place import JOBS, Place, api_over, core_over, submitted


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


def called(place: Place, job_id: str, grounds: Grounds | None) -> None:
    """Bring the job to its end by one call to `sandbox/small@eu` that was made under these grounds."""
    [job] = place.store.claim([job_id])
    begun = start(job)
    begun.grounds = grounds
    assert place.store.settlements.start([begun]) == [Written.DONE]
    assert place.store.settle(settlement(job, Transition.SUCCEED, attempt=attempt_end(1), analyzed=True))


def read(client: httpx.Client, job_id: str) -> dict[str, object]:
    response = client.get(f"{JOBS}/{job_id}/evidence")
    assert response.status_code == 200
    return EvidenceView.model_validate_json(response.content).model_dump(mode="json")


def test_evidence_is_as_the_document_says(place: Place) -> None:
    client = place.client()
    job_id = submitted(client, constraints={"classification": "eu"})
    assert read(client, job_id)["conclusion"]["text"] == "no call was made"  # type: ignore[index]
    called(place, job_id, Grounds(plan().key, 7, "eu"))
    found = EvidenceView.model_validate(read(client, job_id))
    [call] = found.calls
    assert (call.deployment, call.residency, call.kept) == ("sandbox/small@eu", "eu", True)
    assert call.grounds is not None
    assert (call.grounds.config_version, call.grounds.decision) == (7, Decision.ALLOW)
    assert call.grounds.step is not None
    assert found.conclusion.text == "the only call went to EU deployments"
    assert (found.classification.source, found.classification.required_residency) == ("sender", "eu")


def test_a_call_that_strayed_is_told(place: Place) -> None:
    client = place.client()
    job_id = submitted(client, constraints={"classification": "eu"})
    called(place, job_id, Grounds(plan().key, 7, "eu", region="us", zero_retention=True))
    found = EvidenceView.model_validate(read(client, job_id))
    assert (found.conclusion.holds, found.conclusion.broken) == (False, [1])
    assert len(found.calls[0].broken) == 2


def test_a_call_of_before_is_unknown_and_not_guessed(place: Place) -> None:
    client = place.client()
    job_id = submitted(client, constraints={"classification": "eu"})
    called(place, job_id, None)
    found = EvidenceView.model_validate(read(client, job_id))
    assert (found.conclusion.holds, found.conclusion.unknown, found.conclusion.kept) == (None, [1], 0)
    assert (found.calls[0].kept, found.calls[0].residency, found.calls[0].grounds) == (None, None, None)


def test_a_viewer_sees_the_evidence_of_its_own_tenant_alone(place: Place) -> None:
    job_id = submitted(place.client())
    assert place.client(Role.VIEWER).get(f"{JOBS}/{job_id}/evidence").status_code == 200
    assert place.client(Role.VIEWER, Scope("other")).get(f"{JOBS}/{job_id}/evidence").status_code == 404
    assert place.client().get(f"{JOBS}/{new_id()}/evidence").status_code == 404
    assert place.client_with(None).get(f"{JOBS}/{job_id}/evidence").status_code == 401


def test_both_clients_read_it(place: Place) -> None:
    key = place.key()
    job_id = submitted(place.client_with(key))

    async def asked() -> object:
        async with AsyncClient(place.url, api_key=key) as client:
            return await client.evidence(job_id)

    with Client(place.url, api_key=key) as client:
        assert client.evidence(job_id) == asyncio.run(asked()) == read(place.client_with(key), job_id)
