"""What a call may cost at most: the tokens that may be billed for a prompt, and those of an answer that money allows.

A job's `max_cost_usd` is held by what is asked of the provider: where the sender names no `max_output_tokens`, the call
names as many as the money allows. Tokens of images are not known beforehand, and not counted.
"""

from decimal import ROUND_FLOOR, Decimal

from pipelines.tokens import TokenCounter, encoding_for, measure, prompt_texts
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Request
from synthralos.domain.money import MILLION, Price

OTHER_TOKENIZERS = Decimal("1.5")
"""Tokens of other vendors for one of OpenAI's, at most: theirs are not published, and are coarser on some texts."""

LEAST_OUTPUT = 256
"""Tokens of answer that a job's money has to allow, for a deployment to be worth asking; fewer where it gives fewer."""


def billed_at_most(request: Request, counter: TokenCounter) -> int:
    """The tokens that a provider may bill for the prompt, at most."""
    texts = prompt_texts(request)
    counted = counter.count(texts, encoding_for(request.model))
    return min(measure(texts).upper_bound, int(counted * OTHER_TOKENIZERS) + 1)


def affordable_output(price: Price, prompt_tokens: int, max_cost: Decimal) -> int:
    """The tokens of answer that `max_cost` USD allow beside the prompt; negative: they do not allow that either."""
    left = max_cost * MILLION - prompt_tokens * price.dearest_input
    if left < 0:
        return -1
    # A price of 0 allows any number; no model gives as many as this.
    return int((left / price.output).to_integral_value(ROUND_FLOOR)) if price.output else 2**31


def capped(request: Request, deployment: Deployment, max_cost: Decimal, counter: TokenCounter) -> Request | None:
    """The request with as long an answer as the money allows at the deployment; None: it does not allow the call."""
    if deployment.price is None:
        return None
    output = affordable_output(deployment.price, billed_at_most(request, counter), max_cost)
    wanted = request.max_output_tokens
    if output < (wanted or 1):
        return None
    if wanted is not None:
        return request
    limit = min(output, deployment.max_output)
    return Request(request.model, {**request.body, "max_output_tokens": limit}, request.provider_options)


def worst_cost(request: Request, deployment: Deployment, counter: TokenCounter) -> Decimal | None:
    """USD that the call may cost at most; None where the price is unknown."""
    price = deployment.price
    if price is None:
        return None
    answer = min(request.max_output_tokens or deployment.max_output, deployment.max_output)
    prompt = min(billed_at_most(request, counter), deployment.context_window)
    return (prompt * price.dearest_input + answer * price.output) / MILLION
