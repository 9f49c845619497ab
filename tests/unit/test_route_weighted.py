from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from pipelines.route.protocol import Candidate
from pipelines.route.strategies import Weighted
from synthralos.domain.jobs import Tenant
from tests.fakes.stage_jobs import a_deployment, a_job

ORGANIZATIONS = [f"org-{number}" for number in range(2_000)]


def candidate(name: str, weight: int) -> Candidate:
    return Candidate(replace(a_deployment(f"openai/{name}@us"), weight=weight), Decimal(1))


def order(organization: str, *candidates: Candidate) -> list[str]:
    job = replace(a_job(), tenant=Tenant(organization))
    return [step.deployment for step in Weighted().rank(job, candidates)]


A, B, C = candidate("a", 100), candidate("b", 200), candidate("c", 100)


def test_each_deployment_is_first_for_as_many_organizations_as_it_weighs() -> None:
    first = Counter(order(organization, A, B, C)[0] for organization in ORGANIZATIONS)
    for one in (A, B, C):
        share = one.deployment.weight / 400
        assert first[one.deployment.id] / len(ORGANIZATIONS) == pytest.approx(share, abs=0.05)


def test_a_job_and_its_retries_find_the_same_order() -> None:
    for organization in ORGANIZATIONS[:50]:
        assert order(organization, A, B, C) == order(organization, C, B, A)


def test_only_those_move_whose_deployment_goes() -> None:
    for organization in ORGANIZATIONS[:200]:
        before = order(organization, A, B, C)
        before.remove(C.deployment.id)
        assert order(organization, A, B) == before


def test_without_weight_a_deployment_comes_last() -> None:
    none = candidate("none", 0)
    assert all(order(organization, none, A, B)[-1] == none.deployment.id for organization in ORGANIZATIONS[:50])


def test_runs_of_one_organization_share_by_weight_and_stay_together() -> None:
    def first(run: str) -> str:
        return Weighted().rank(replace(a_job(), run_id=run), [A, B, C])[0].deployment

    found = Counter(first(f"run-{number}") for number in range(2_000))
    assert found[B.deployment.id] / 2_000 == pytest.approx(0.5, abs=0.05)
    assert first("run-1") == first("run-1")
