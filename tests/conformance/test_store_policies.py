"""Policy sets in the store: versions that stay, changes that do not overwrite one another, scopes that hold."""

from typing import Any

import pytest

from synthralos.domain.policies import PolicySet
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.audit import Audit, AuditFilter, By
from synthralos.store.admin.configuration import Configuration
from synthralos.store.admin.policies import Outdated, Policies
from synthralos.store.sql.database import Database

ANN = By("ann", "why not")
RULES: list[dict[str, Any]] = [{"id": "eu", "when": {"field": "model", "eq": "größe"}, "then": [{"deny": {}}]}]


def document(name: str = "ours", **more: Any) -> dict[str, Any]:
    """What people write."""
    return {"name": name, "rules": RULES, **more}


def created(policies: Policies, organization: str | None = "acme", workspace: str | None = None) -> PolicySet:
    return policies.create(document(), organization, workspace, ANN)


def test_a_set_comes_back_as_it_was_written(database: Database) -> None:
    policies = Policies(database)
    wanted = document(priority=7, enabled=False, shadow=True, share=12.5, effective_from="2026-01-31T00:00:00+01:00")
    made = policies.create(wanted, "acme", "main", ANN)
    assert policies.get(made.id, EVERYTHING) == made
    assert (made.version, made.organization, made.workspace, made.priority, made.share) == (1, "acme", "main", 7, 12.5)
    assert made.rules == tuple(RULES)
    assert made.effective_from is not None
    assert made.effective_from.isoformat() == "2026-01-31T00:00:00+01:00"


def test_every_change_is_a_version_that_stays(database: Database) -> None:
    policies = Policies(database)
    first = created(policies)
    second = policies.replace(first.id, document("renamed"), EVERYTHING, By("bob", "better"))
    assert isinstance(second, PolicySet)
    assert (second.version, second.name, second.organization) == (2, "renamed", "acme")
    assert policies.remove(first.id, EVERYTHING, ANN) == second
    assert policies.get(first.id, EVERYTHING) is None
    found = policies.versions(first.id, EVERYTHING)
    assert [(each.number, each.policy, each.changed_by) for each in found] == [
        (3, None, "ann"),
        (2, second, "bob"),
        (1, first, "ann"),
    ]
    assert found[1].reason == "better"


def test_a_change_of_an_old_version_is_refused(database: Database) -> None:
    policies = Policies(database)
    made = created(policies)
    assert isinstance(policies.replace(made.id, document("two"), EVERYTHING, ANN, expected=1), PolicySet)
    assert policies.replace(made.id, document("lost"), EVERYTHING, ANN, expected=1) == Outdated(2)
    assert policies.remove(made.id, EVERYTHING, ANN, expected=1) == Outdated(2)
    found = policies.get(made.id, EVERYTHING)
    assert found is not None
    assert found.name == "two"


@pytest.mark.parametrize("scope", [Scope("other"), Scope("acme", "other")])
def test_nobody_sees_or_changes_what_is_not_theirs(database: Database, scope: Scope) -> None:
    policies = Policies(database)
    everybodys = created(policies, None)
    made = created(policies, "acme", "main")
    for each in (made, everybodys):
        assert policies.get(each.id, scope) is None
        assert policies.versions(each.id, scope) == []
        assert policies.replace(each.id, document("theirs"), scope, ANN) is None
        assert policies.remove(each.id, scope, ANN) is None
    assert list(policies.all(scope)) == []
    assert list(policies.all(EVERYTHING)) == [everybodys, made]
    assert list(policies.all(Scope("acme"))) == [made]


def test_each_change_counts_and_is_on_record(database: Database) -> None:
    policies, configuration = Policies(database), Configuration(database)
    made = created(policies)
    policies.replace(made.id, document("two"), EVERYTHING, ANN)
    assert [each.name for each in configuration.read().policies] == ["two"]
    policies.remove(made.id, EVERYTHING, ANN)
    assert configuration.version() == 3
    entries = Audit(database).page(AuditFilter(subject=f"policy:{made.id}"), EVERYTHING, 10)
    acts = [(e.act, e.before and e.before["name"], e.after and e.after["name"], e.organization) for e in entries]
    assert acts == [
        ("policies.remove", "two", None, "acme"),
        ("policies.change", "ours", "two", "acme"),
        ("policies.create", None, "ours", "acme"),
    ]
