"""What hypothesis makes up for the stages: catalogs, jobs, constraints, failures, plans."""

from decimal import Decimal

from hypothesis import strategies as st

from synthralos.domain.deployments import Capability, Catalog, Deployment, Tier
from synthralos.domain.exclusions import TEXTS, Cause
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.money import Price, ServiceTier
from synthralos.domain.plans import Exclusion, RoutingPlan, Step
from synthralos.domain.prompt_caches import PromptCache
from tests.fakes.stage_jobs import a_deployment, a_job

PROVIDERS = ("openai", "google", "sandbox")
MODELS = ("small", "large")
REGIONS = ("eu", "us", "eu-west")
IDS = tuple(f"{provider}/{model}@{region}" for provider in PROVIDERS for model in MODELS for region in REGIONS)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
amounts = st.decimals(0, 1000, places=6)
tokens = st.integers(0, 10**9)
prices = st.builds(Price, input=amounts, output=amounts, cached=st.none() | amounts, cache_write=st.none() | amounts)


@st.composite
def deployments(draw: st.DrawFn, deployment_id: str) -> Deployment:
    window = draw(st.sampled_from([50, 1_000, 8_000, 128_000]))
    return a_deployment(
        deployment_id,
        window=window,
        max_output=draw(st.sampled_from([10, window])),
        price=draw(st.none() | st.tuples(*[st.sampled_from(["0", "0.05", "3", "15"])] * 2)),
        tier=draw(st.sampled_from(Tier)),
        capabilities=draw(st.frozensets(st.sampled_from(Capability))),
        adapter="sandbox" if deployment_id.startswith("sandbox/") else "openai",
        residency=draw(st.sampled_from([None, None, "eu", "us", "global"])),
        zero_retention=draw(st.booleans()),
    )


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=10))
    return Catalog([draw(deployments(deployment_id)) for deployment_id in ids])


def constraints() -> st.SearchStrategy[Constraints]:
    return st.builds(
        Constraints,
        region=st.none() | st.sampled_from(REGIONS),
        classification=st.none() | st.sampled_from(["eu", "EU", "none"]),
        strategy=st.sampled_from(["cheapest", "pinned"]),
        max_cost=st.none() | amounts,
        max_attempts=st.integers(1, 8),
        fallback=st.booleans(),
        pin=st.none() | st.sampled_from(IDS),
        exclude=st.lists(st.sampled_from(IDS), max_size=3).map(tuple),
        private_data=st.none() | st.sampled_from(["flag", "redact", "refuse"]),
        restore=st.booleans(),
        reuse=st.sampled_from(["never", "allow"]),
        repair=st.none() | st.sampled_from(["none", "again", "explain"]),
        coalesce=st.none() | st.sampled_from(["never", "allow"]),
        zero_retention=st.booleans(),
    )


bodies = st.fixed_dictionaries(
    {},
    optional={
        "max_output_tokens": st.integers(1, 200_000),
        "tools": st.just([{"type": "function"}]),
        "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
    },
)


def jobs(job_constraints: st.SearchStrategy[Constraints] | None = None) -> st.SearchStrategy[Job]:
    names = ["auto", "auto", *MODELS, *IDS, "openai/large", "nobody/knows"]
    return st.builds(
        a_job,
        st.builds(lambda text, times: text * times, texts, st.sampled_from([0, 1, 100, 5_000])),
        model=st.sampled_from(names),
        plan=st.sampled_from(["free", "pro", "enterprise", "platinum"]),
        body=bodies,
        constraints=constraints() if job_constraints is None else job_constraints,
    )


failures = st.builds(
    Failure,
    st.sampled_from(FailureClass),
    texts,
    st.none() | st.floats(0, 1e6),
    st.none() | st.integers(400, 599),
    st.none() | texts,
)
costs = st.none() | st.decimals(0, Decimal(10**6), places=12)
caches = st.builds(PromptCache, st.integers(0, 2**53), st.booleans())
steps = st.builds(Step, st.sampled_from(IDS), texts, costs, st.sampled_from(ServiceTier), st.none() | caches)
causes = st.builds(
    Cause,
    st.sampled_from([*TEXTS, "of_a_later_release"]),
    st.dictionaries(texts, st.none() | st.integers(0, 2**53) | texts),
)
exclusions = st.builds(Exclusion, st.sampled_from(IDS), causes)
plans = st.builds(
    RoutingPlan,
    texts,
    st.lists(steps, max_size=4).map(tuple),
    st.lists(exclusions, max_size=4).map(tuple),
    st.integers(0, 4),
)
