"""Jobs whose prompts begin alike, and deployments that may have such a beginning in their cache."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pipelines.route.affinity import Prefix
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Constraints, Job, Tenant
from synthralos.domain.money import Price
from synthralos.domain.plans import RoutingPlan
from tests.fakes.stage_jobs import a_deployment, a_job

SYSTEM = "You are a careful assistant. " * 200
"""About 1,450 tokens."""


def cached(name: str, price: str = "3", read: str | None = "0.3", **more: Any) -> Deployment:
    found = Price(Decimal(price), Decimal("15"), None if read is None else Decimal(read))
    return replace(a_deployment(name, **more), price=found)


ALIKE = [cached(f"a/m{n}@us") for n in range(5)]
PLAIN = cached("a/a-plain@us", read=None)
DEAR = cached("a/dear@us", "4")


def body(*texts: str, **more: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": text} for text in texts]
    return {"messages": [{"role": "system", "content": SYSTEM}, *said], "max_output_tokens": 100, **more}


def job(*texts: str, organization: str = "acme", constraints: Constraints | None = None) -> Job:
    return replace(
        a_job(body=body(*texts or ("Hello",)), constraints=constraints),
        tenant=Tenant(organization, account_plan="pro"),
    )


def names(plan: RoutingPlan) -> list[str]:
    return [step.deployment for step in plan.steps]


def only(*ids: str) -> Callable[[str, Prefix], Sequence[str]]:
    return lambda organization, prefix: ids
