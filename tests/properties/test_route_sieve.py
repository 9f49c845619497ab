"""The sieve asks each rule once for all deployments that look alike: it must not matter that it does."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.route.filters import SIZED_RULES, STANDING_RULES, Demand
from pipelines.route.sieve import Sieve, bits, numbers_in
from synthralos.domain.deployments import Capability, Deployment, Tier
from synthralos.domain.overlays import NO_DEMANDS, Overlay
from tests.fakes.stage_jobs import a_deployment

REGIONS = ("us", "eu", "mars")
IDS = [f"{maker}/{model}@{region}" for maker in ("openai", "local") for model in "abc" for region in REGIONS]
names = st.frozensets(st.sampled_from([*IDS, "openai/*", "openai/a", "nobody/x"]), max_size=3)
overlays = st.just(NO_DEMANDS) | st.builds(
    Overlay,
    regions=st.none() | st.frozensets(st.sampled_from(REGIONS)),
    allowed_models=st.none() | names,
    forbidden_models=names,
    tier=st.none() | st.sampled_from(Tier),
)
demands = st.builds(
    Demand,
    st.just("auto"),
    st.sampled_from(["free", "pro"]),
    st.none() | st.sampled_from(REGIONS),
    st.none() | st.sampled_from(["eu", "none", "secret"]),
    st.none() | st.sampled_from([*IDS, "nobody/x@us"]),
    st.lists(st.sampled_from([*IDS, "nobody/x@us"]), max_size=4).map(tuple),
    st.frozensets(st.sampled_from(Capability)),
    st.none() | st.integers(1, 20_000),
    st.none() | st.decimals("0", "0.01", places=6),
    overlays,
    st.integers(0, 200_000),
    st.integers(0, 200_000),
    st.booleans(),
    st.frozensets(st.sampled_from(["temperature", "seed", "json_object", "openai.top_k"])),
)


@st.composite
def catalogs(draw: st.DrawFn) -> list[Deployment]:
    chosen = draw(st.lists(st.sampled_from(IDS), unique=True, min_size=1))
    return [
        a_deployment(
            name,
            window=draw(st.sampled_from([8_000, 128_000])),
            max_output=draw(st.sampled_from([1_000, 16_000])),
            price=draw(st.sampled_from([None, ("0", "0"), ("1", "2")])),
            tier=draw(st.sampled_from(Tier)),
            capabilities=draw(st.frozensets(st.sampled_from(Capability))),
            adapter=draw(st.sampled_from(["openai", "anthropic", "sandbox"])),
            residency=draw(st.sampled_from([None, "eu", "us"])),
            zero_retention=draw(st.booleans()),
        )
        for name in chosen
    ]


@given(catalogs(), demands)
def test_each_deployment_meets_the_first_rule_that_refuses_it(catalog: list[Deployment], demand: Demand) -> None:
    rules = (*STANDING_RULES, *SIZED_RULES)
    alive, losses = Sieve(catalog, rules).sift(demand, (1 << len(catalog)) - 1)
    found = {number: (loss.cause, loss.failure_class) for loss in losses for number in numbers_in(loss.which)}
    expected, left = {}, set(range(len(catalog)))
    for rule in rules:
        refused = {
            n: (cause, rule.failure_class) for n in left if (cause := rule.check(demand, catalog[n])) is not None
        }
        if not (rule.soft and left == refused.keys()):
            expected |= refused
            left -= refused.keys()
    assert found == expected
    assert numbers_in(alive) == sorted(left)


@given(st.frozensets(st.integers(0, 300)))
def test_a_set_of_numbers_is_what_was_put_into_it(numbers: frozenset[int]) -> None:
    assert numbers_in(bits(numbers)) == sorted(numbers)
