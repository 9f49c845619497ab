"""Aliases: names that stand for models, deployments, tiers or other aliases of a catalog."""

from collections.abc import Collection, Mapping

Aliases = Mapping[str, tuple[str, ...]]
"""What each alias stands for, as the catalog has it: names, or `tier:` with a tier."""

EVERYTHING = "auto"
"""The model of a request that leaves the choice to the router."""

TIER = "tier:"


class AliasError(ValueError):
    """An alias that cannot be followed. `path` leads to it, such as `smart[1]`; the message says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def check_aliases(aliases: Aliases, names: Collection[str], tiers: Collection[str]) -> None:
    """Raise `AliasError` for the first alias that is no new name, leads nowhere, or back to itself.

    `names` are the other names that a request can ask for, `tiers` the tiers that have deployments.
    """
    for alias, targets in aliases.items():
        if alias == EVERYTHING:
            raise AliasError(alias, "always means every deployment: choose another name")
        if alias in names:
            raise AliasError(alias, "is the name of a model already: choose another name")
        if not targets:
            raise AliasError(alias, "stands for nothing: name a model, a deployment, an alias or a tier")
        for number, target in enumerate(targets):
            _check_target(f"{alias}[{number}]", target, aliases, names, tiers)
    sound: set[str] = set()
    for alias in aliases:
        _check_circle(aliases, (alias,), sound)


def _check_target(path: str, target: str, aliases: Aliases, names: Collection[str], tiers: Collection[str]) -> None:
    if target.startswith(TIER):
        if target.removeprefix(TIER) not in tiers:
            raise AliasError(path, f"no deployment is of {target}: choose from {', '.join(sorted(tiers))}")
    elif target not in aliases and target not in names:
        raise AliasError(path, f"{target} is no model, deployment or alias of this catalog")


def _check_circle(aliases: Aliases, way: tuple[str, ...], sound: set[str]) -> None:
    """Follow the last alias of `way`; those that lead to no circle are added to `sound`, and not followed again."""
    for target in aliases.get(way[-1], ()):
        if target in way:
            raise AliasError(way[0], f"leads back to itself: {' → '.join((*way, target))}")
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
