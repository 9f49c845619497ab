"""Golden prices: what calls cost by the catalog, against figures from elsewhere; `wrong` has to be 0.

There are two sources. `list_prices.csv` was copied by hand from vendors' price lists, and is reckoned with here in
fractions. genai-prices' own calculator knows tiers and dates that no list has on one page.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from genai_prices import Usage as TheirUsage
from genai_prices import data_snapshot

from benchmarks.report import BenchmarkError, figure, say
from scripts.update_prices import CONTEXTS, uplift
from synthralos.config.catalog import load_catalog
from synthralos.domain.deployments import Deployment
from synthralos.domain.money import Price, ServiceTier, Usage

LIST = Path(__file__).with_name("list_prices.csv")
FEWEST = 300

PROMPTS = (0, 1, 999, 100_000, 100_001, 128_001, 200_000, 200_001, 272_000, 272_001, 900_000)
"""Tokens: each limit of a context tier, and one more."""

SHARES = ((0, 0, 0), (30, 0, 0), (0, 40, 0), (0, 40, 15), (25, 35, 35))
"""Percent of the prompt that was read from the cache, written to it, and of that for an hour."""

OUTPUTS = (0, 1, 4_096)


@dataclass(frozen=True, slots=True)
class Case:
    """A call, and what it costs in USD by another source."""

    name: str
    deployment: str
    day: datetime
    tier: ServiceTier
    usage: Usage
    expected: Fraction


def main(smoke: bool) -> None:
    """All cases at once: they take a second."""
    cases = [*from_lists(), *from_genai_prices()]
    wrong = [problem for case in cases if (problem := mistake(case)) is not None]
    for problem in wrong[:20]:
        say(problem)
    figure("cases", len(cases), "cases")
    figure("wrong", len(wrong), "cases")
    if len(cases) < FEWEST or wrong:
        raise BenchmarkError(f"{len(wrong)} of {len(cases)} cases are wrong; at least {FEWEST} have to be right")


def mistake(case: Case) -> str | None:
    """What is wrong with the catalog's answer; None where nothing is."""
    deployment = _CATALOG.get(case.deployment)
    price = None if deployment is None else deployment.price
    found = None if price is None else price.at(case.day).cost(case.usage, case.tier)
    if found is not None and Fraction(found) == case.expected:
        return None
    return f"{case.name}: {case.deployment} on {case.day:%Y-%m-%d}: {found}, not {float(case.expected)}"


def from_lists() -> Iterator[Case]:
    """Calls at the prices that vendors list."""
    with LIST.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        for usage in _usages():
            if _within(row, usage.input) and _listed(row, usage):
                day = datetime.fromisoformat(row["day"]).replace(tzinfo=UTC)
                yield Case(row["source"], row["deployment"], day, ServiceTier(row["tier"]), usage, _cost(row, usage))


def from_genai_prices() -> Iterator[Case]:
    """Calls at every tier, on the day that the catalog was checked and on those from which something changes."""
    for deployment in _CATALOG:
        price = deployment.price
        if price is None or deployment.adapter == "sandbox":
            continue
        for day in _days(price):
            for tier in (ServiceTier.STANDARD, *price.at(day).service_tiers):
                for usage in _usages():
                    if _priced(price, usage):
                        expected = _theirs(deployment, day, tier, usage)
                        yield Case(f"genai-prices, {tier}", deployment.id, day, tier, usage, expected)


def _within(row: dict[str, str], prompt: int) -> bool:
    return (row["longer_than"] == "0" or prompt > int(row["longer_than"])) and prompt <= int(row["up_to"] or prompt)


def _usages() -> Iterator[Usage]:
    for prompt in PROMPTS:
        for read, written, hour in SHARES:
            for output in OUTPUTS:
                yield Usage(prompt, output, prompt * read // 100, 0, prompt * written // 100, prompt * hour // 100)


def _listed(row: dict[str, str], usage: Usage) -> bool:
    used = {"cached": usage.cached, "cache_write": usage.cache_write, "cache_write_1h": usage.cache_write_1h}
    return all(row[name] for name, tokens in used.items() if tokens)


def _cost(row: dict[str, str], usage: Usage) -> Fraction:
    tokens = {
        "input": usage.input - usage.cached - usage.cache_write,
        "cached": usage.cached,
        "cache_write": usage.cache_write - usage.cache_write_1h,
        "cache_write_1h": usage.cache_write_1h,
        "output": usage.output,
    }
    return sum((Fraction(row[kind] or 0) * count for kind, count in tokens.items()), Fraction(0)) / 10**6


def _days(price: Price) -> list[datetime]:
    """The day of the price, and the last moment before each later one with its first."""
    changes = [datetime.fromisoformat(each.valid_from).replace(tzinfo=UTC) for each in price.later]
    beside = [day for change in changes for day in (change - timedelta(microseconds=1), change)]
    return [datetime.fromisoformat(price.as_of).replace(tzinfo=UTC), *beside]


def _priced(price: Price, usage: Usage) -> bool:
    """Whether the model has a price of its own for what was written to the cache; else nobody says what it costs."""
    return not (
        (usage.cache_write and price.cache_write is None) or (usage.cache_write_1h and price.cache_write_1h is None)
    )


def _theirs(deployment: Deployment, day: datetime, tier: ServiceTier, usage: Usage) -> Fraction:
    provider, model = data_snapshot.get_snapshot().find_provider_model(
        deployment.upstream_model, None, deployment.provider, None
    )
    used = TheirUsage(
        input_tokens=usage.input,
        cache_read_tokens=usage.cached,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output,
        **({"cache_write_1h_tokens": usage.cache_write_1h} if usage.cache_write_1h else {}),
    )
    context = None if tier is ServiceTier.STANDARD else CONTEXTS[tier]
    found: Decimal = model.calc_price(used, provider, genai_request_timestamp=day, price_context=context).total_price
    return Fraction(found) * Fraction(uplift(deployment))


_CATALOG = load_catalog(None)
