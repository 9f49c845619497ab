"""Differences of two versions of a policy set: the same rule is known by its id, wherever it stands."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipelines.policies.differences import differences


def document(names: str, **changed: Any) -> dict[str, Any]:
    """A set with a rule for each letter; `changed` are values of some."""
    return {"name": "ours", "rules": [{"id": name, "when": changed.get(name, 1), "then": [name]} for name in names]}


def test_one_rule_that_moved_is_one_difference() -> None:
    found = differences(document("abcde"), document("eabcd"))
    assert found["moved"] == [{"rule": "e", "from": 4, "to": 0}]
    assert (found["added"], found["removed"], found["changed"], found["members"]) == ([], [], [], [])


def test_a_new_rule_in_front_moves_no_other() -> None:
    found = differences(document("abc"), document("xabc"))
    assert ([each["rule"] for each in found["added"]], found["moved"]) == (["x"], [])


def test_values_of_another_type_and_members_that_come_and_go_differ() -> None:
    [changed] = differences(
        document("a", a={"x": 1, "y": [1, 2]}), document("a", a={"x": True, "y": [1, 3], "z": None})
    )["changed"]
    assert changed["changes"] == [
        {"path": "rules[0].when.x", "before": 1, "after": True},
        {"path": "rules[0].when.y[1]", "before": 2, "after": 3},
        {"path": "rules[0].when.z", "after": None},
    ]


_NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1).map("".join)


@given(before=_NAMES, after=_NAMES)
def test_the_differences_lead_from_one_order_to_the_other(before: str, after: str) -> None:
    found = differences(document(before), document(after))
    gone = {each["rule"] for each in found["removed"] + found["moved"]}
    order = [name for name in before if name not in gone]
    for each in sorted(found["added"] + found["moved"], key=lambda change: int(change["to"])):
        order.insert(each["to"], each["rule"])
    assert "".join(order) == after
