"""What a call may cost at most: the tokens that may be billed for a prompt, and those of an answer that money allows.

A job's `max_cost_usd` is held by what is asked of the provider: where the sender names no `max_output_tokens`, the call
names as many as the money allows.
"""

from decimal import ROUND_FLOOR, Decimal

from pipelines.images.counting import image_tokens
from pipelines.providers.table import writes_cache
from pipelines.tokens import TokenCounter, encoding_for, measure, prompt_texts
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Request
from synthralos.domain.money import MILLION, Bound, Price, ServiceTier

OTHER_TOKENIZERS = Decimal("1.5")
"""Tokens of other vendors for one of OpenAI's, at most: theirs are not published, and are coarser on some texts."""

LEAST_OUTPUT = 256
"""Tokens of answer that a job's money has to allow, for a deployment to be worth asking; fewer where it gives fewer."""


def billed_at_most(request: Request, counter: TokenCounter, model: str | None = None) -> int:
    """The tokens that a provider may bill for the prompt, at most. `model`: which one; else what the request names."""
    texts = prompt_texts(request)
    counted = counter.count(texts, encoding_for(request.model))
    return min(measure(texts).upper_bound, int(counted * OTHER_TOKENIZERS) + 1) + image_tokens(request, model)


def dearest(deployment: Deployment, price: Price, prompt_tokens: int, tier: ServiceTier) -> Bound:
    """What tokens cost at most at the deployment, for a prompt of at most so many. `price` is the one in force."""
    return price.dearest(prompt_tokens, tier, writes_cache=writes_cache(deployment))


def affordable_output(bound: Bound, prompt_tokens: int, max_cost: Decimal) -> int:
    """The tokens of answer that `max_cost` USD allow beside the prompt; negative: they do not allow that either."""
    left = max_cost * MILLION - prompt_tokens * bound.input
    if left < 0:
        return -1
    # A price of 0 allows any number; no model gives as many as this.
    return int((left / bound.output).to_integral_value(ROUND_FLOOR)) if bound.output else 2**31


def capped(
    request: Request,
    deployment: Deployment,
    max_cost: Decimal,
    counter: TokenCounter,
    price: Price | None = None,
    tier: ServiceTier = ServiceTier.STANDARD,
) -> Request | None:
    """The request with as long an answer as the money allows at the deployment; None: it does not allow the call.

    `price` is the deployment's own unless another is in force; `tier` the one that is asked for.
    """
    price = price or deployment.price
    if price is None:
        return None
    tokens = billed_at_most(request, counter, deployment.model)
    output = affordable_output(dearest(deployment, price, tokens, tier), tokens, max_cost)
    wanted = request.max_output_tokens
    if output < (1 if wanted is None else wanted):
        return None
    if wanted is not None:
        return request
    limit = min(output, deployment.max_output)
    return Request(request.model, {**request.body, "max_output_tokens": limit}, request.provider_options)


def most_of_call(
    request: Request,
    deployment: Deployment,
    counter: TokenCounter,
    price: Price | None,
    tier: ServiceTier = ServiceTier.STANDARD,
) -> Decimal | None:
    """USD that the call may cost at most by the `price` in force; None where that is unknown."""
    if price is None:
        return None
    wanted = request.max_output_tokens
    answer = deployment.max_output if wanted is None else min(wanted, deployment.max_output)
    prompt = min(billed_at_most(request, counter, deployment.model), deployment.context_window)
    bound = dearest(deployment, price, prompt, tier)
    return (prompt * bound.input + answer * bound.output) / MILLION
