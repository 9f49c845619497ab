"""The table of provider adapters. A new provider is one file, one line here, and its place in the conformance suite."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipelines.providers import anthropic, anthropic_options, google, google_options, openai, openai_options, sandbox
from pipelines.providers.options import OptionRules
from pipelines.providers.protocol import Provider
from synthralos.config.catalog import wrong_field
from synthralos.config.credentials import CredentialsNow
from synthralos.config.settings import Settings
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.jobs import Request
from synthralos.domain.money import Price, ServiceTier

_NOT_EVERYWHERE = ("temperature", "top_p", "seed")
_NOTHING: frozenset[str] = frozenset()

OptionProblems = list[tuple[str, str]]
"""(field, problem) each; empty where all is well."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """How to build a provider, and how to check what a request and the catalog tell it before it is called.

    `service_tiers` are those that it can ask for besides the standard one. `writes_cache`: whether a call may write to
    the prompt cache.

    `not_taken` tells of what `asked_of` names whether a deployment has no form for it, and why; None where it has.
    """

    build: Callable[[CredentialsNow, Settings], Provider]
    check_options: Callable[[Mapping[str, Any], Collection[str]], OptionProblems]
    check_deployment: Callable[[Deployment], object] = lambda _: None
    widened_by: Callable[[Mapping[str, Any]], Collection[str]] = lambda _: ()
    not_taken: Callable[[Collection[str], Deployment], str | None] = lambda *_: None
    service_tiers: frozenset[ServiceTier] = frozenset()
    writes_cache: Callable[[Deployment], bool] = lambda _: True


def _over_http(
    build: Callable[[CredentialsNow], Provider], rules: OptionRules, check: Callable[[Deployment], object]
) -> Adapter:
    return Adapter(lambda credentials, _: build(credentials), rules.check, check, rules.widened_by)


PROVIDERS: Mapping[str, Adapter] = {
    "openai": replace(
        _over_http(openai.OpenAIProvider, openai_options.RULES, openai.check_deployment),
        service_tiers=frozenset({ServiceTier.FLEX, ServiceTier.PRIORITY}),
    ),
    "anthropic": replace(
        _over_http(anthropic.AnthropicProvider, anthropic_options.RULES, anthropic.check_deployment),
        not_taken=anthropic.not_taken,
        writes_cache=anthropic.writes_cache,
    ),
    "google": _over_http(google.GoogleProvider, google_options.RULES, google.check_deployment),
    "sandbox": Adapter(
        lambda _, s: sandbox.SandboxProvider(s.sandbox_bill), lambda options, _: sandbox.check_options(options)
    ),
}


def build_providers(credentials: CredentialsNow, settings: Settings) -> dict[str, Provider]:
    """One provider per adapter name, for this process."""
    return {name: adapter.build(credentials, settings) for name, adapter in PROVIDERS.items()}


def check_deployment(deployment: Deployment) -> None:
    """Raise `CatalogError` for a deployment whose adapter does not exist or does not understand its options."""
    adapter = PROVIDERS.get(deployment.adapter)
    if adapter is None:
        raise wrong_field(deployment, "adapter", f"must be one of {', '.join(PROVIDERS)}")
    try:
        adapter.check_deployment(deployment)
    except ValueError as error:
        field, _, reason = str(error).partition(": ")
        raise wrong_field(deployment, field, reason) from None


def asked_of(request: Request) -> frozenset[str]:
    """What a request asks for that some provider has no form for: parameters, `json_object`, `PROVIDER.top_k`."""
    body = request.body
    asked = {name for name in body.keys() & _NOT_EVERYWHERE if body[name] is not None}
    if (body.get("response_format") or {}).get("type") == "json_object":
        asked.add("json_object")
    asked |= {f"{provider}.top_k" for provider, options in request.provider_options.items() if "top_k" in options}
    return frozenset(asked) if asked else _NOTHING


def not_taken(asked: Collection[str], deployment: Deployment) -> str | None:
    """Why the deployment would refuse a request that asks for these before anything is sent; None where it takes it."""
    adapter = PROVIDERS.get(deployment.adapter)
    return None if adapter is None or not asked else adapter.not_taken(asked, deployment)


def writes_cache(deployment: Deployment) -> bool:
    """Whether a call there may write to the prompt cache, at the price of that."""
    adapter = PROVIDERS.get(deployment.adapter)
    return adapter is None or adapter.writes_cache(deployment)


def service_tiers(deployment: Deployment, price: Price | None) -> frozenset[ServiceTier]:
    """The service tiers that can be asked for there, besides the standard one. `price` is the one in force."""
    adapter = PROVIDERS.get(deployment.adapter)
    return frozenset() if adapter is None or price is None else adapter.service_tiers & price.service_tiers.keys()


def check_catalog(catalog: Catalog) -> None:
    """Raise `CatalogError` for the first deployment that `check_deployment` refuses."""
    for deployment in catalog:
        check_deployment(deployment)


def check_provider_options(options: Mapping[str, Mapping[str, Any]], catalog: Catalog) -> OptionProblems:
    """What is wrong with a request's `provider_options`: (path below it, problem) each."""
    adapters = {deployment.provider: deployment.adapter for deployment in catalog if deployment.provider in options}
    problems: OptionProblems = []
    for provider, chosen in options.items():
        if provider not in adapters:
            known = sorted({deployment.provider for deployment in catalog})
            problems.append((provider, f"is not a provider; choose from {', '.join(known)}"))
            continue
        adapter = PROVIDERS[adapters[provider]]
        widened = [n for d in catalog if d.provider == provider for n in adapter.widened_by(d.options)]
        found = adapter.check_options(chosen, widened)
        problems += [(f"{provider}.{field}", problem) for field, problem in found]
    return problems
