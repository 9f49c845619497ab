"""The facts of one job, each read when a rule first asks for it, and kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.policies.fields import FIELDS, METADATA, Field, Kind, Source
from pipelines.policies.operands import LARGEST, usd
from pipelines.policies.problems import Unfit
from pipelines.suggestions import Names

NAMES = Names(FIELDS)
"""The names of all fields, to suggest one for a wrong one."""


class Facts(dict[str, Any]):
    """The values of fields, by name; None where a job has none. Belongs to one thread.

    `now` is the time at which the job is judged. `kept` is where those who evaluate keep what they made of the facts.
    """

    __slots__ = ("_source", "kept", "now")

    def __init__(self, now: datetime, source: Source | None = None, values: Mapping[str, Any] | None = None) -> None:
        """Of a job's `source`, or of `values` alone. Values are taken as they are; see `stated` for checked ones."""
        super().__init__(values or {})
        self.now = now
        self.kept: dict[str, Any] = {}
        self._source = source

    def __missing__(self, name: str) -> Any:
        value = self[name] = self._read(name)
        return value

    def local(self, zone: ZoneInfo) -> datetime:
        """The time at which the job is judged, by the clocks of a zone."""
        found: datetime | None = self.kept.get(zone.key)
        if found is None:
            found = self.kept[zone.key] = self.now.astimezone(zone)
        return found

    def _read(self, name: str) -> Any:
        if name.startswith(METADATA):
            metadata = self["metadata"]
            return metadata.get(name[len(METADATA) :]) if isinstance(metadata, Mapping) else None
        return None if self._source is None else FIELDS[name].read(self._source)


class WrongFactError(ValueError):
    """What is stated is no fact. `name` is how it was called; `problem` and `remedy` say what is wrong with it."""

    def __init__(self, name: str, problem: str, remedy: str) -> None:
        super().__init__(f"{name}: {problem}: {remedy}")
        self.name, self.problem, self.remedy = name, problem, remedy


def stated(values: Mapping[str, Any], now: datetime) -> Facts:
    """Facts that somebody states, as plain JSON: recorded ones, or made-up ones to try rules on.

    Raises `WrongFactError` for a name that is no field's, and for a value of another kind than the field's.
    """
    facts = {}
    for name, value in values.items():
        known = FIELDS.get(name)
        if known is None:
            near = NAMES.near(name)
            remedy = f"did you mean {near[0]}?" if near else "see docs/policies.md for the fields"
            raise WrongFactError(f"{name:.80}", "is no field", remedy)
        facts[name] = None if value is None else _stated(known, value)
    return Facts(now, values=facts)


def _stated(known: Field, value: Any) -> Any:
    if known.kind is Kind.MONEY:
        try:
            return usd(value)
        except Unfit as error:
            raise WrongFactError(known.name, str(error), 'give an amount of US dollars, such as "0.05"') from None
    fits = {
        Kind.TEXT: isinstance(value, str),
        Kind.NUMBER: type(value) in (int, float) and abs(value) <= LARGEST,
        Kind.TEXTS: isinstance(value, list) and all(isinstance(each, str) for each in value),
        Kind.ANY: isinstance(value, dict),
    }
    if not fits[known.kind]:
        kind = "JSON object" if known.kind is Kind.ANY else str(known.kind)
        raise WrongFactError(known.name, f"is no {kind}", f"give a {kind}, or null where a job has none")
    return value
