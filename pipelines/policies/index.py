"""Finds the rules of a set that can hold for a job, without asking those that cannot."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.policies.facts import Facts
from pipelines.policies.fields import FIELDS, Kind
from pipelines.policies.needs import Need, Needs
from pipelines.policies.operands import key_of


@dataclass(frozen=True, slots=True)
class _Table:
    """The numbers of rules by the key that they need of one field; `listed`: its values are lists of texts."""

    field: str
    listed: bool
    rules: Mapping[Any, tuple[int, ...]]


class RuleIndex:
    """Which rules, by their numbers, can hold for a job. Thread-safe: nothing changes once it is built."""

    def __init__(self, needs: Sequence[Needs]) -> None:
        """`needs` of each rule, in the order of the rules."""
        common = Counter(key for each in needs for need in each for key in need.keys)
        tables: defaultdict[str, defaultdict[Any, list[int]]] = defaultdict(lambda: defaultdict(list))
        always = []
        for number, each in enumerate(needs):
            if not each:
                always.append(number)
                continue
            for field, key in _rarest(each, common).keys:
                tables[field][key].append(number)
        self._always = tuple(always)
        self._tables = tuple(
            _Table(field, _is_list(field), {key: tuple(numbers) for key, numbers in table.items()})
            for field, table in sorted(tables.items())
        )

    def candidates(self, facts: Facts) -> Sequence[int]:
        """The numbers of the rules that can hold for the job, smallest first: each that does is among them."""
        found: list[int] = []
        for table in self._tables:
            seen = facts[table.field]
            if table.listed:
                for member in seen if isinstance(seen, list) else ():
                    found += table.rules.get(key_of(member), ())
            elif numbers := table.rules.get(key_of(seen)):
                found += numbers
        return sorted({*found, *self._always}) if found else self._always


def _rarest(needs: Needs, common: Mapping[tuple[str, Any], int]) -> Need:
    """The need whose keys the fewest rules have: what tells the rules apart best."""
    return min(needs, key=lambda need: sum(common[key] for key in need.keys))


def _is_list(field: str) -> bool:
    return field in FIELDS and FIELDS[field].kind is Kind.TEXTS
