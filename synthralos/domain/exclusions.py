"""What keeps deployments from a job, as data: a rule by its code, and what the rule compared.

Plans store this. Sentences are made of it when somebody reads: in the API, on the command line, in a trace.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from synthralos.domain.residency import kept_from

Details = Mapping[str, Any]

_NO_DETAILS: Details = {}


class Cause(NamedTuple):
    """Why a deployment is excluded: the code of a rule (a key of `TEXTS`), and what it compared, as JSON values.

    Tokens are whole numbers, US dollars decimals in text.
    """

    rule: str
    details: Details = _NO_DETAILS

    def __hash__(self) -> int:
        return hash(self.rule)

    @property
    def text(self) -> str:
        """The sentence that people read. A rule of a later release is told by its code and details."""
        told = TEXTS.get(self.rule)
        try:
            if told is not None:
                return told.format_map(self.details) if isinstance(told, str) else told(self.details)
        except (KeyError, TypeError, ValueError):  # stored by a release that says it otherwise
            pass
        return f"{self.rule}: {', '.join(f'{name} {value}' for name, value in self.details.items())}".rstrip(": ")


def recorded(text: str) -> Cause:
    """The cause of a plan that was stored as a sentence."""
    return Cause("recorded", {"text": text})


def _classification(said: Details) -> str:
    return kept_from(said["classification"], said["residency"]) or "the classification"


def _account_plan(said: Details) -> str:
    return f"the {said['account_plan']} plan is for {' and '.join(said['tiers'])} models, this one is {said['tier']}"


def _context_window(said: Details) -> str:
    output, prompt = said["output_tokens"], said["needed_tokens"] - said["output_tokens"]
    kind = "of max_output_tokens" if said["output"] == "asked" else "of answer, as the last ones were"
    beside = f" and {output} {kind}" if output else ""
    return f"about {prompt} tokens of messages{beside} exceed its window of {said['limit_tokens']}"


def _max_cost(said: Details) -> str:
    most = f"max_cost_usd of {said['limit_usd']} allows {said['limit_tokens']} tokens of answer here"
    return f"{most}, and {said['needed_tokens']} are {said['output']}{' for' if said['output'] == 'asked' else ''}"


def _listed(name: str, sentence: str) -> Callable[[Details], str]:
    return lambda said: sentence.format(", ".join(said[name]) or "none")


TEXTS: Mapping[str, str | Callable[[Details], str]] = {
    "model": "the request asks for {model}, which this deployment is not",
    "not_offered": "{why}",
    "classification": _classification,
    "zero_retention": "constraints.zero_retention is true, and this deployment does not declare zero_retention",
    "disabled": "it is switched off in the catalog (enabled is false)",
    "region": "constraints.region is {needed}, and this deployment's region is {region}",
    "pin": "constraints.pin is {pin}, and this is another deployment",
    "exclude": "listed in constraints.exclude",
    "policy_regions": _listed("allowed", "policies allow the regions {} only"),
    "policy_allowed_models": _listed("allowed", "policies allow the models {} only"),
    "policy_forbidden_models": _listed("forbidden", "policies forbid the models {}"),
    "policy_tier": "policies allow models up to the tier {limit}, this one is {tier}",
    "account_plan": _account_plan,
    "capability": _listed("missing", "the request needs {}"),
    "kind": lambda said: "it makes no embeddings" if said["wanted"] == "embeddings" else "it makes embeddings alone",
    "protocol": "{why}",
    "max_output": "max_output_tokens is {needed_tokens}, it gives at most {limit_tokens}",
    "context_window": _context_window,
    "input_window": "about {needed_tokens} tokens of its longest input exceed its window of {limit_tokens}",
    "price_unknown": "an attempt may cost {limit_usd} USD at most, and the price of this deployment is unknown",
    "max_cost": _max_cost,
    "deadline": "more than half of its last answers took longer than the {seconds_left} s until the deadline",
    "fallback": "constraints.fallback is false, so only the first choice is tried",
    "recorded": "{text}",
}
"""Every rule by its code, with its sentence."""
