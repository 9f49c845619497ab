"""What API keys promise: only their hash is kept, they are found while they live, and nobody touches another's."""

import pytest

from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.keys import PREFIX, Keys
from synthralos.store.admin.organizations import Organizations
from synthralos.store.sql.database import Database
from synthralos.store.tables import api_keys


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database)


def test_a_key_is_found_by_itself_alone(keys: Keys) -> None:
    secret, made = keys.create("ci 🔑", Role.SERVICE, Scope("acme", "main", "ann"), "pro")
    found = keys.find(secret)
    assert found == made
    assert secret.startswith(PREFIX)
    assert (made.name, made.role, made.scope, made.plan) == ("ci 🔑", "service", Scope("acme", "main", "ann"), "pro")
    assert made.revoked_at is None
    for wrong in (secret[:-1], secret + "x", secret.swapcase(), made.prefix, made.id, "", "🔑"):
        assert keys.find(wrong) is None


def test_a_key_itself_is_nowhere_in_the_database(keys: Keys, database: Database) -> None:
    secret, _ = keys.create("ci", Role.ADMIN, EVERYTHING)
    with database.snapshot() as connection:
        [row] = connection.execute(api_keys.select()).all()
    assert secret not in str(row)
    assert secret.removeprefix(PREFIX)[4:] not in str(row)


def test_a_new_organization_is_on_the_free_plan_until_somebody_says_otherwise(keys: Keys, database: Database) -> None:
    plans = Organizations(database)
    assert plans.plan_of("acme") == "free"
    _, first = keys.create("one", Role.VIEWER, Scope("acme"))
    assert first.plan == "free"
    plans.set_plan("acme", "enterprise")
    _, second = keys.create("two", Role.VIEWER, Scope("acme"))
    assert (second.plan, plans.plan_of("acme")) == ("enterprise", "enterprise")
    plans.set_plan("new", "pro")
    assert plans.plan_of("new") == "pro"


def test_a_key_of_the_whole_installation_has_no_plan(keys: Keys) -> None:
    secret, _ = keys.create("root", Role.ADMIN, EVERYTHING)
    found = keys.find(secret)
    assert found is not None
    assert (found.plan, found.scope) == (None, EVERYTHING)


def test_a_revoked_key_says_so_and_is_revoked_once(keys: Keys) -> None:
    secret, made = keys.create("ci", Role.SERVICE, Scope("acme"))
    assert keys.revoke(made.id, Scope("acme"))
    found = keys.find(secret)
    assert found is not None
    assert found.revoked_at is not None
    assert not keys.revoke(made.id, Scope("acme"))


def test_a_key_is_revoked_by_its_prefix(keys: Keys) -> None:
    secret, made = keys.create("ci", Role.SERVICE, Scope("acme"))
    assert keys.revoke(made.prefix, EVERYTHING)
    found = keys.find(secret)
    assert found is not None
    assert found.revoked_at is not None


@pytest.mark.parametrize("wrong", ["01a20699-682f-7322-bb51-a4fce2925dc6", "x" * 36, "", "sk-syn-", "🔑" * 36, "%"])
def test_a_key_that_is_not_there_is_not_revoked(keys: Keys, wrong: str) -> None:
    keys.create("ci", Role.SERVICE, Scope("acme"))
    assert not keys.revoke(wrong, EVERYTHING)


def test_nobody_sees_or_revokes_a_key_outside_their_scope(keys: Keys) -> None:
    _, mine = keys.create("mine", Role.SERVICE, Scope("acme", "main"))
    _, theirs = keys.create("theirs", Role.SERVICE, Scope("other"))
    _, root = keys.create("root", Role.ADMIN, EVERYTHING)
    assert [key.id for key in keys.all(EVERYTHING)] == [root.id, theirs.id, mine.id]
    assert [key.id for key in keys.all(Scope("acme"))] == [mine.id]
    assert not keys.revoke(theirs.id, Scope("acme"))
    assert not keys.revoke(root.prefix, Scope("acme"))
    assert not keys.revoke(mine.id, Scope("acme", "side"))
