"""What provider options may hold, and the rules by which an adapter passes them on: a list of what is allowed.

What is not on it is refused: an option that goes around guards, token counts, prices, residency, or the job's own
fields would make the books and the promises wrong. A deployment's `allow_options` in the catalog widens the list.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from synthralos.domain.deployments import Deployment

IN_THE_REQUEST = "belongs in the request itself"
ONE_ANSWER = "must stay 1: a job has one answer"
OUR_BUSINESS = "is the service's own business"
OTHER_PRICE = "would change the price"
UNSEEN = "would bring in what no guard has seen"

FIRST_TOKEN_SECONDS, IDLE_SECONDS, STREAM = "first_token_seconds", "idle_seconds", "stream"
"""A deployment's options about streams: how long it may take to the first token, how long it may stand still after
that, and whether it can stream at all."""

JOINT_INPUTS = "joint_inputs"
"""A deployment's option: texts of one call that several jobs share at most; with 1 none is shared."""

MOST_JOINT_INPUTS = 256
"""As many as one job may have: the answer to more of them might be larger than the transport takes."""

_NAME = re.compile(r"[A-Za-z0-9_.:/@-]{1,256}")

Check = Callable[[Any], str | None]


def flag(value: object) -> str | None:
    """True or false."""
    return None if type(value) is bool else "must be true or false"


def number(least: float, most: float) -> Check:
    """A number in the bounds, both included."""

    def check(value: object) -> str | None:
        fits = type(value) in (int, float) and math.isfinite(value) and least <= value <= most  # type: ignore[arg-type,operator]  # a number by now
        return None if fits else f"must be a number from {least:g} to {most:g}"

    return check


def integer(least: int, most: int) -> Check:
    """An integer in the bounds, both included."""

    def check(value: object) -> str | None:
        fits = type(value) is int and least <= value <= most
        return None if fits else f"must be an integer from {least} to {most}"

    return check


def one_of(*words: str) -> Check:
    """One of these words."""
    return lambda value: None if value in words else f"must be one of: {', '.join(words)}"


def word(value: object) -> str | None:
    """A name or an id: nothing that a model would read."""
    named = isinstance(value, str) and _NAME.fullmatch(value)
    return None if named else "must be 1 to 256 letters, digits and . _ : / @ -"


def settings(value: object) -> str | None:
    """Switches and numbers, in objects two levels deep: nothing that a model would read."""
    fits = isinstance(value, dict) and _is_settings(value, 3)
    return None if fits else "must be an object of switches, numbers and single words"


def _is_settings(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and len(value) <= 16 and all(_is_settings(v, depth - 1) for v in value.values())
    if isinstance(value, str):
        return len(value) <= 32 and _NAME.fullmatch(value) is not None
    return value is None or type(value) is bool or number(-1e9, 1e9)(value) is None


@dataclass(frozen=True, slots=True)
class OptionRules:
    """An adapter's options: those `allowed`, with what each may hold; `elsewhere`: why no catalog can allow some."""

    allowed: Mapping[str, Check]
    elsewhere: Mapping[str, str]

    def check(self, options: Mapping[str, Any], widened: Collection[str] = ()) -> list[tuple[str, str]]:
        """What is wrong with a request's options: (field, problem) each. `widened`: names that the catalog allows."""
        problems: list[tuple[str, str]] = []
        for name, value in options.items():
            if name in self.elsewhere:
                problems.append((name, self.elsewhere[name]))
            elif name in self.allowed:
                problem = self.allowed[name](value)
                problems += [] if problem is None else [(name, problem)]
            elif name not in widened:
                problems.append((name, "is not an option that is passed on; a deployment's allow_options may allow it"))
        return problems

    def widened_by(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The names that a deployment's `allow_options` allows; raises `ValueError`, naming what is wrong."""
        names = options.get("allow_options", ())
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise ValueError("options.allow_options: must be a list of names")
        refused = next((name for name in names if name in self.elsewhere), None)
        if refused is not None:
            raise ValueError(f"options.allow_options: {refused} {self.elsewhere[refused]}")
        return tuple(names)

    def check_deployment(self, deployment: Deployment, *names: str) -> None:
        """Raise `ValueError`, naming the field, for a deployment over HTTP without an address or with unknown options.

        `names`: the adapter's own options of a deployment, besides `allow_options`.
        """
        if not deployment.base_url:
            raise ValueError("base_url: is missing")
        known = {"allow_options", FIRST_TOKEN_SECONDS, IDLE_SECONDS, STREAM, JOINT_INPUTS, *names}
        unknown = sorted(set(deployment.options) - known)
        if unknown:
            raise ValueError(f"options.{unknown[0]}: unknown key")
        self.widened_by(deployment.options)
        streams(deployment.options)
        joint_inputs(deployment.options)
        for name in (FIRST_TOKEN_SECONDS, IDLE_SECONDS):
            stream_seconds(deployment.options, name)


def streams(options: Mapping[str, object]) -> bool:
    """Whether a deployment can stream; raises `ValueError`, naming what is wrong."""
    chosen = options.get(STREAM, True)
    if not isinstance(chosen, bool):
        raise ValueError(f"options.{STREAM}: must be true or false")
    return chosen


def stream_seconds(options: Mapping[str, object], name: str) -> float | None:
    """The seconds that a deployment's option gives; raises `ValueError`, naming what is wrong."""
    value = options.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 < value <= 3600:  # type: ignore[operator]  # a number by now
        raise ValueError(f"options.{name}: must be a number of seconds, more than 0 and at most 3600")
    return float(value)  # type: ignore[arg-type]


def joint_inputs(options: Mapping[str, object]) -> int | None:
    """What a deployment's options say of it; raises `ValueError`, naming what is wrong."""
    value = options.get(JOINT_INPUTS)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= MOST_JOINT_INPUTS:
        raise ValueError(f"options.{JOINT_INPUTS}: must be an integer from 1 to {MOST_JOINT_INPUTS}")
    return value
