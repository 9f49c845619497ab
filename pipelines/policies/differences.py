"""What two versions of a policy set differ in: members, and rules by their ids, wherever they stand."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MEMBERS = ("name", "priority", "enabled", "shadow", "share", "effective_from", "effective_until")

Change = dict[str, Any]
"""`path`, `before`, `after`; a side that has nothing there lacks its member."""


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The differences of two documents. Rules have ids of their own, so that a rule that moved is the same one.

    `members` and the `changes` of a changed rule are told by path. `moved` are rules that stand elsewhere among those
    that both have, as few as explain the order; `from` and `to` are their places in either list.
    """
    old, new = _by_id(before["rules"]), _by_id(after["rules"])
    kept = [name for name in new if name in old]
    return {
        "members": [change for name in MEMBERS for change in _compared(before.get(name), after.get(name), name)],
        "added": [
            {"rule": name, "to": place, "document": rule} for name, (place, rule) in new.items() if name not in old
        ],
        "removed": [
            {"rule": name, "from": place, "document": rule} for name, (place, rule) in old.items() if name not in new
        ],
        "moved": [
            {"rule": name, "from": old[name][0], "to": new[name][0]}
            for name in _out_of_order([old[name][0] for name in kept], kept)
        ],
        "changed": [
            {"rule": name, "changes": changes}
            for name in kept
            if (changes := list(_compared(old[name][1], new[name][1], f"rules[{new[name][0]}]")))
        ],
    }


def _by_id(rules: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, Mapping[str, Any]]]:
    return {rule["id"]: (place, rule) for place, rule in enumerate(rules)}


def _out_of_order(places: Sequence[int], names: Sequence[str]) -> list[str]:
    """Those of `names` that have moved: all that are not in a longest run whose old places ascend."""
    best: list[tuple[int, int | None]] = []  # length of the longest run that ends here, and what comes before
    for number, place in enumerate(places):
        earlier = [(best[n][0], n) for n in range(number) if places[n] < place]
        length, link = max(earlier, default=(0, None), key=lambda run: run[0])
        best.append((length + 1, link))
    kept = set[int]()
    at: int | None = max(range(len(best)), key=lambda n: best[n][0], default=None)
    while at is not None:
        kept.add(at)
        at = best[at][1]
    return [name for number, name in enumerate(names) if number not in kept]


def _compared(before: Any, after: Any, path: str) -> Iterator[Change]:
    """The changes between two JSON values: by member of objects, by place in lists of the same length, else whole."""
    if before == after and isinstance(before, bool) == isinstance(after, bool):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(name for name in after if name not in before)]:
            if name not in after:
                yield {"path": f"{path}.{name}", "before": before[name]}
            elif name not in before:
                yield {"path": f"{path}.{name}", "after": after[name]}
            else:
                yield from _compared(before[name], after[name], f"{path}.{name}")
        return
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _compared(one, other, f"{path}[{number}]")
        return
    yield {"path": path, "before": before, "after": after}
