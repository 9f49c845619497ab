"""Aliases: names that stand for models, deployments, tiers or other aliases of a catalog."""

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum

Aliases = Mapping[str, tuple[str, ...]]
"""What each alias stands for, as the catalog has it: names, or `tier:` with a tier."""

EVERYTHING = "auto"
"""The model of a request that leaves the choice to the router."""

TIER = "tier:"


class Wrong(StrEnum):
    """What may be wrong with an alias: its name, that it has no target, one of them, or that it leads back to it."""

    NAME = "name"
    NOTHING = "nothing"
    TARGET = "target"
    CIRCLE = "circle"


class AliasError(ValueError):
    """An alias that cannot be followed. `path` leads to it, such as `smart[1]`; the message says why.

    `number` is the place of the target that is wrong (from 0), `target` the unknown name that is there, if it is one.
    """

    def __init__(self, alias: str, kind: Wrong, reason: str, number: int | None = None, target: str = "") -> None:
        self.path = alias if number is None else f"{alias}[{number}]"
        super().__init__(f"{self.path}: {reason}")
        self.alias = alias
        self.kind = kind
        self.reason = reason
        self.number = number
        self.target = target


def check_aliases(aliases: Aliases, names: Collection[str], tiers: Collection[str]) -> None:
    """Raise `AliasError` for the first alias that is no new name, leads nowhere, or back to itself.

    `names` are the other names that a request can ask for, `tiers` the tiers that have deployments.
    """
    for error in alias_errors(aliases, names, tiers):
        raise error


def alias_errors(aliases: Aliases, names: Collection[str], tiers: Collection[str]) -> Iterator[AliasError]:
    """What is wrong with the aliases; see `check_aliases`. Of a circle, the first alias in it is named."""
    for alias, targets in aliases.items():
        if alias == EVERYTHING:
            yield AliasError(alias, Wrong.NAME, "always means every deployment: choose another name")
        if alias in names:
            yield AliasError(alias, Wrong.NAME, "is the name of a model already: choose another name")
        if not targets:
            yield AliasError(alias, Wrong.NOTHING, "stands for nothing: name a model, a deployment, an alias or a tier")
        for number, target in enumerate(targets):
            yield from _target_errors(alias, number, target, aliases, names, tiers)
    sound: set[str] = set()
    for alias in aliases:
        try:
            _check_circle(aliases, (alias,), sound)
        except AliasError as error:
            yield error
            sound.add(alias)


def _target_errors(
    alias: str, number: int, target: str, aliases: Aliases, names: Collection[str], tiers: Collection[str]
) -> Iterator[AliasError]:
    if target.startswith(TIER):
        if target.removeprefix(TIER) not in tiers:
            reason = f"no deployment is of {target}: choose from {', '.join(sorted(tiers))}"
            yield AliasError(alias, Wrong.TARGET, reason, number)
    elif target not in aliases and target not in names:
        reason = f"{target} is no model, deployment or alias of this catalog"
        yield AliasError(alias, Wrong.TARGET, reason, number, target)


def _check_circle(aliases: Aliases, way: tuple[str, ...], sound: set[str]) -> None:
    """Follow the last alias of `way`; those that lead to no circle are added to `sound`, and not followed again."""
    for target in aliases.get(way[-1], ()):
        if target in way:
            raise AliasError(way[0], Wrong.CIRCLE, f"leads back to itself: {' → '.join((*way, target))}")
        if target not in sound:
            _check_circle(aliases, (*way, target), sound)
    sound.add(way[-1])


def followed(alias: str, aliases: Aliases) -> frozenset[str]:
    """Everything that an alias stands for in the end: names and tiers, no alias. Circles end where they begin."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [alias]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in aliases:
            waiting.extend(aliases[name])
        else:
            found.add(name)
    return frozenset(found)
