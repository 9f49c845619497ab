"""The configured validators as real `guardrails.Guard` objects, and what they say of a text.

Importing this takes seconds, and reads the switches of `environment.QUIET`: the environment has to have them before.
"""

import importlib
import inspect
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from guardrails import Guard, Validator, settings
from guardrails.errors import ValidationError

from guardrails_sidecar.configuration import SIDES, ConfigurationProblem, Wanted, Wanteds
from guardrails_sidecar.validators import BUILT_IN

log = logging.getLogger(__name__)

Said = dict[str, Any]
"""What is said of one text: its `verdict` (`passed`, `flagged`, `refused`, `fixed`, `unseen`) and the `reasons`.

`fixed` comes with the `text` as it should be. `unseen`: nobody could look; `late`: for want of time.
"""

PASSED: Said = {"verdict": "passed", "reasons": []}

_LONGEST_REASON = 300
_MOST_REASONS = 10
_RAISED = "Validation failed for field with errors: "


class SideGuard:
    """One `Guard` with the validators of one side. Threads may use it at once."""

    def __init__(self, side: str, validators: Sequence[Validator]) -> None:
        # Its traces go nowhere, cost more than the validators, and fail on texts that nest like JSON.
        settings.disable_tracing = True
        self._empty = not validators
        # Of what it was shown, a guard remembers the last text, and cannot remember less.
        self._guard: Any = Guard(name=f"synthralos-{side}", history_max_length=1)
        self._guard.configure(allow_metrics_collection=False)
        if validators:
            self._guard.use(*validators)

    def check(self, texts: Sequence[str], seconds: float) -> list[Said]:
        """What is to be said of each text. Those that `seconds` do not suffice for are `unseen` and `late`."""
        ends = time.monotonic() + seconds
        return [self._check(text) if time.monotonic() < ends else _unseen("not in time", late=True) for text in texts]

    def _check(self, text: str) -> Said:
        if self._empty:
            return PASSED
        try:
            return _said(text, self._guard.validate(text))
        except ValidationError as error:
            return _refused([str(error).removeprefix(_RAISED)])
        except Exception as error:
            log.exception("a validator failed")
            return _unseen(f"a validator failed: {type(error).__name__}", late=False)


def _said(text: str, outcome: Any) -> Said:
    """The answer that an outcome stands for. That it "passed" says little: with `reask` it holds a fixed text."""
    if outcome.reask is not None:
        return _refused([result.error_message for result in outcome.reask.fail_results])
    if outcome.error:
        return _refused([outcome.error])
    failed = [summary.failure_reason for summary in outcome.validation_summaries if summary.validator_status == "fail"]
    if not failed:
        return PASSED
    fixed = outcome.validated_output
    if fixed == text:
        return {"verdict": "flagged", "reasons": _told(failed)}
    return {"verdict": "fixed", "reasons": _told(failed), "text": fixed} if isinstance(fixed, str) else _refused(failed)


def _refused(reasons: Sequence[Any]) -> Said:
    return {"verdict": "refused", "reasons": _told(reasons)}


def _unseen(why: str, *, late: bool) -> Said:
    return {"verdict": "unseen", "reasons": [why], "late": late}


def _told(reasons: Sequence[Any]) -> list[str]:
    """Bounded, and fit for any log and terminal: validators that operators install may say anything."""
    short = (" ".join(str(reason).split())[:_LONGEST_REASON] for reason in reasons[:_MOST_REASONS])
    return ["".join(c if c.isprintable() else "?" for c in reason) for reason in short]


def build(wanteds: Wanteds) -> Mapping[str, SideGuard]:
    """The guard of each side; raises `ConfigurationProblem` for a validator that cannot be had."""
    if settings.rc.enable_metrics:
        raise ConfigurationProblem("guardrails-ai would report to its makers: start it with `synthralos guardrails`")
    return {side: SideGuard(side, [_validator(wanted) for wanted in wanteds[side]]) for side in SIDES}


def _validator(wanted: Wanted) -> Validator:
    make = BUILT_IN.get(wanted.validator) or _imported(wanted)
    build = partial(make, **wanted.arguments, on_fail=wanted.on_fail)
    try:
        inspect.signature(make).bind(**build.keywords)
        return build()
    except (TypeError, ValueError) as error:
        takes = ", ".join(name for name in inspect.signature(make).parameters if name not in ("on_fail", "kwargs"))
        takes = f"takes {takes}" if takes else "takes no arguments"
        raise ConfigurationProblem(f"{wanted.place} ({wanted.validator}): {error}; it {takes}") from None


def _imported(wanted: Wanted) -> Any:
    module, colon, name = wanted.validator.partition(":")
    if not colon:
        known = ", ".join(BUILT_IN)
        raise ConfigurationProblem(f'{wanted.place}.validator: must be one of {known}, or "module:Class"')
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        remedy = "install it into this environment, or put it beside the configuration file"
        raise ConfigurationProblem(f"{wanted.place}.validator: {error}: {remedy}") from None
    if not (isinstance(found, type) and issubclass(found, Validator)):
        raise ConfigurationProblem(f"{wanted.place}.validator: must be a class of guardrails.Validator")
    return found
