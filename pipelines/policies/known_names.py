"""Names in rules that the catalog does not know: of models, deployments and regions, with what was meant instead."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipelines.policies.problems import Problem, shown
from pipelines.suggestions import Names
from synthralos.domain.deployments import Catalog
from synthralos.domain.jobs import CHEAPEST, SAME
from synthralos.domain.overlays import model_covers

_OF_MODELS = ("allow_models", "forbid_models", "prefer")
_EQUAL = frozenset({"eq", "ne", "in", "not_in"})


def unknown_names(rule: Mapping[str, Any], path: str, catalog: Catalog) -> Iterator[Problem]:
    """A warning for each name of a valid rule that stands for nothing."""
    for number, action in enumerate(rule["then"]):
        at = f"{path}.then[{number}]"
        if action["action"] in _OF_MODELS:
            yield from _models(action["models"], f"{at}.models", catalog)
        elif action["action"] == "require_region":
            yield from _listed(action["regions"], f"{at}.regions", "region", regions_of(catalog))
        elif action["action"] == "repair_output":
            who = {SAME, CHEAPEST, *catalog.names}
            yield from _listed([action["model"]], f"{at}.model", "model", who, numbered=False)
    for condition, at in _fields(rule.get("when"), f"{path}.when"):
        if condition["op"] in _EQUAL and condition["field"] in ("model", "region"):
            value = condition["value"]
            names = value if isinstance(value, list) else [value]
            known = catalog.names if condition["field"] == "model" else regions_of(catalog)
            yield from _listed(names, f"{at}.value", condition["field"], known, numbered=isinstance(value, list))


def regions_of(catalog: Catalog) -> frozenset[str]:
    """What a rule may call a region: the regions' names, and the residencies that are declared."""
    return frozenset(name for each in catalog for name in (each.region, each.residency) if name is not None)


def _models(names: Collection[str], path: str, catalog: Catalog) -> Iterator[Problem]:
    ids = [each.id for each in catalog]
    known = {each.model_name for each in catalog} | {f"{each.provider}/*" for each in catalog} | set(ids)
    for number, name in enumerate(names):
        if not any(model_covers(name, each) for each in ids):
            yield _unknown(f"{path}[{number}]", "model", name, known)


def _listed(
    names: Collection[str], path: str, what: str, known: Collection[str], *, numbered: bool = True
) -> Iterator[Problem]:
    for number, name in enumerate(names):
        if name not in known:
            yield _unknown(f"{path}[{number}]" if numbered else path, what, name, known)


def _unknown(path: str, what: str, name: str, known: Collection[str]) -> Problem:
    names = Names(known)
    near = names.near(name)
    remedy = f"did you mean {near[0]}?" if near else f"it knows {names.some}"
    return Problem(path, f"{shown(name)} is no {what} of the catalog", remedy, "warning")


def _fields(condition: Any, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """All conditions on fields, with their paths."""
    if not isinstance(condition, Mapping):
        return
    if "field" in condition:
        yield condition, path
    elif "not" in condition:
        yield from _fields(condition["not"], f"{path}.not")
    for name in ("all", "any"):
        for number, each in enumerate(condition.get(name, ())):
            yield from _fields(each, f"{path}.{name}[{number}]")
