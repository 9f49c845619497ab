"""What operators set is kept, counted and on record, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from synthralos.domain.account_plans import AccountPlan
from synthralos.domain.audit import Act
from synthralos.domain.flags import Flag, FlagState
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.audit import Audit, AuditEntry, AuditFilter, By
from synthralos.store.admin.configuration import NOTHING_STORED, Configuration
from synthralos.store.sql.database import Database

ANN = By("key:sk-syn-ann", "costs are known elsewhere")


@pytest.fixture
def configuration(database: Database) -> Configuration:
    return Configuration(database)


def entries(database: Database, **wanted: str) -> list[AuditEntry]:
    return Audit(database).page(AuditFilter(**wanted), EVERYTHING, 100)  # type: ignore[arg-type]


def test_a_new_database_holds_no_change(configuration: Configuration) -> None:
    assert configuration.read() == NOTHING_STORED


def test_a_flag_is_set_and_reset(configuration: Configuration) -> None:
    configuration.set_flag(Flag.TRACK_MODEL_COSTS, FlagState(True, 25), ANN)
    stored = configuration.read()
    assert (stored.version, stored.flags["track_model_costs"].value) == (1, FlagState(True, 25))
    assert stored.flags["track_model_costs"].changed_by == ANN.actor
    assert configuration.reset_flag(Flag.TRACK_MODEL_COSTS, ANN)
    assert configuration.read().flags == {}
    assert configuration.version() == 2
    assert not configuration.reset_flag(Flag.TRACK_MODEL_COSTS, ANN)


def test_limits_and_deployments_are_set_and_reset(configuration: Configuration) -> None:
    entry = {"context_window": 1000, "price": {"input": "0.15"}}
    configuration.set_limits(AccountPlan.FREE, {"prompt_tokens": 10}, ANN)
    configuration.set_deployment("openai/gpt@us", entry, ANN)
    stored = configuration.read()
    assert stored.limits["free"].value == {"prompt_tokens": 10}
    assert stored.deployments["openai/gpt@us"].value == entry
    assert configuration.reset_limits(AccountPlan.FREE, ANN)
    assert configuration.remove_deployment("openai/gpt@us", ANN)
    again = configuration.read()
    assert (again.limits, again.deployments, again.version) == ({}, {}, 4)


def test_each_change_says_who_what_before_and_after(configuration: Configuration, database: Database) -> None:
    configuration.set_flag(Flag.ENABLE_STACKSTORM, FlagState(True, 10), ANN)
    configuration.set_flag(Flag.ENABLE_STACKSTORM, FlagState(True, 50), By("cli:bob"))
    configuration.reset_flag(Flag.ENABLE_STACKSTORM, ANN)
    last, middle, first = entries(database, subject="flag:enable_stackstorm")
    ten, fifty = {"enabled": True, "percentage": 10}, {"enabled": True, "percentage": 50}
    assert (first.act, first.before, first.after) == (Act.SET_FLAG, None, ten)
    assert (middle.actor, middle.before, middle.after, middle.reason) == ("cli:bob", ten, fifty, "")
    assert (last.act, last.before, last.after, last.reason) == (Act.RESET_FLAG, fifty, None, ANN.reason)
    assert first.at <= middle.at <= last.at


def test_changes_at_once_are_all_counted(configuration: Configuration, database: Database) -> None:
    def change(number: int) -> None:
        configuration.set_limits(AccountPlan.PRO, {"prompt_tokens": number}, By(f"key:{number}"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(change, range(1, 25)))
    assert configuration.version() == 24
    made = entries(database, subject="limits:pro")
    # Each found what the one before it had left, whichever order they came in.
    assert {(e.before or {}).get("prompt_tokens") for e in made} ^ {(e.after or {})["prompt_tokens"] for e in made} == {
        None, configuration.read().limits["pro"].value["prompt_tokens"],
    }  # fmt: skip


def test_the_record_is_found_by_actor_act_subject_and_page(configuration: Configuration, database: Database) -> None:
    configuration.set_flag(Flag.ENABLE_STACKSTORM, FlagState(True), ANN)
    configuration.set_limits(AccountPlan.PRO, {"prompt_tokens": 5}, By("cli:bob"))
    configuration.set_deployment("a/b@us", {"tier": "economy"}, ANN)
    assert [e.subject for e in entries(database, actor="cli:bob")] == ["limits:pro"]
    assert [e.subject for e in entries(database, act="deployments.set")] == ["deployment:a/b@us"]
    assert [e.subject for e in entries(database, subject="deployment:*")] == ["deployment:a/b@us"]
    newest, middle, oldest = entries(database)
    assert [e.id for e in entries(database, cursor=newest.id)] == [middle.id, oldest.id]
    since = Audit(database).page(AuditFilter(since=middle.at), EVERYTHING, 100)
    assert [e.id for e in since] == [newest.id, middle.id]
    until = Audit(database).page(AuditFilter(until=middle.at), EVERYTHING, 1)
    assert [e.id for e in until] == [oldest.id]


def test_who_is_bound_to_an_organization_sees_its_own_changes_alone(
    configuration: Configuration, database: Database
) -> None:
    configuration.set_flag(Flag.ENABLE_STACKSTORM, FlagState(True), ANN)
    assert Audit(database).page(AuditFilter(), Scope("acme"), 100) == []
