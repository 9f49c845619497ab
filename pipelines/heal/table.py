"""The one table of remedies: for each class of failure, what is tried, in order."""

from collections.abc import Mapping
from random import Random

from pipelines.heal.ask_again import AskAgain
from pipelines.heal.budget import RetryBudget
from pipelines.heal.next_key import KeyNames, NextKey, no_keys
from pipelines.heal.protocol import Remedy
from pipelines.heal.remedies import GiveUp, LargerWindow, NextDeployment, RouteElsewhere, StandardTier, WaitAndRetry
from pipelines.heal.stackstorm import AskStackStorm
from synthralos.domain.backoff import Backoff
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import FailureClass

SHORT = 5.0
"""Seconds: a provider that asks for more has no short wait in mind."""

RemedyTable = Mapping[FailureClass, tuple[Remedy, ...]]


KEYS_OWN = frozenset({FailureClass.CREDENTIAL, FailureClass.QUOTA_EXHAUSTED})
"""What another key of the same provider may not meet."""


def build_remedies(
    rng: Random,
    catalog: Catalog,
    budget: RetryBudget | None = None,
    key_names: KeyNames = no_keys,
    ask: AskStackStorm | None = None,
) -> RemedyTable:
    """The table. Jitter comes from `rng`, window sizes from `catalog`; `budget` bounds retries at a deployment.

    `key_names` are those of the keys that a deployment may be called with. `ask` asks StackStorm, where there is one.
    """
    budget = budget or RetryBudget()
    elsewhere = RouteElsewhere(rng, Backoff(base=1.0, cap=60.0))
    wait = WaitAndRetry(rng, Backoff(base=1.0, cap=60.0), tries=5, name="wait", budget=budget, queues=True)
    next_deployment, next_provider = NextDeployment(), NextDeployment("next_provider", other_provider=True)
    ask, give_up = ask or AskStackStorm(), GiveUp()
    provider_fails = (*_while_a_provider_fails(rng, budget, next_deployment, ask), wait, elsewhere, give_up)
    accounts = (NextKey(catalog, key_names), next_provider, next_deployment, ask, give_up)
    one_wait = WaitAndRetry(rng, Backoff(base=2.0, cap=10.0), tries=2, name="one_wait", budget=budget, queues=True)
    standard_tier = StandardTier()
    return {
        # The limit is this deployment's own: another one can serve at once, waiting is for when there is none.
        FailureClass.RATE_LIMITED: (next_deployment, wait, elsewhere, ask, give_up),
        # The same deployment has room at its standard tier, which is the plan's next step.
        FailureClass.NO_CAPACITY: (standard_tier, next_deployment, wait, give_up),
        # Money does not come back by waiting, and models of one provider usually share the account; a key may not.
        FailureClass.QUOTA_EXHAUSTED: accounts,
        FailureClass.OVERLOADED: provider_fails,
        FailureClass.SERVER_ERROR: provider_fails,
        FailureClass.CONNECTION: provider_fails,
        # May have been billed, and stays on the books as such: each further call may be paid for twice, so few.
        FailureClass.TIMEOUT: (standard_tier, next_deployment, ask, one_wait, give_up),
        FailureClass.AMBIGUOUS: (next_deployment, one_wait, give_up),
        # A key that is refused stays refused; models of one provider usually share it.
        FailureClass.CREDENTIAL: accounts,
        # Our own bug or outage. Before any call (a deployment that left the catalog) only another step can help.
        FailureClass.INTERNAL: (wait, next_deployment, ask, give_up),
        **_of_the_request(catalog, next_deployment, next_provider, AskAgain(budget), give_up),
    }


def _while_a_provider_fails(
    rng: Random, budget: RetryBudget, next_deployment: Remedy, ask: Remedy
) -> tuple[Remedy, ...]:
    """Usually over in a second; one short wait keeps the cheapest deployment, a second one would only add load.

    StackStorm comes when all deployments have failed: after what costs seconds, before what takes minutes.
    """
    short_wait = WaitAndRetry(
        rng, Backoff(base=0.5, cap=2.0), tries=2, name="short_wait", patience=SHORT, budget=budget
    )
    return short_wait, next_deployment, ask


def _of_the_request(
    catalog: Catalog, next_deployment: Remedy, next_provider: Remedy, ask_again: Remedy, give_up: Remedy
) -> RemedyTable:
    """What is the request's, or the answer's, and not the provider's."""
    return {
        # What this deployment does not have or does not take, another one may.
        FailureClass.UNSUPPORTED: (next_deployment, give_up),
        # The same request is invalid everywhere.
        FailureClass.INVALID_REQUEST: (give_up,),
        FailureClass.CONTEXT_LENGTH: (LargerWindow(catalog), give_up),
        # A provider has one filter for all its models; another provider may judge otherwise.
        FailureClass.CONTENT_FILTERED: (next_provider, give_up),
        # Sampling differs from call to call: the same model once more, then one that may follow schemas better.
        FailureClass.SCHEMA_MISMATCH: (ask_again, next_deployment, give_up),
        # Spending more is for people to decide.
        FailureClass.BUDGET: (give_up,),
    }
