"""What a process remembers of the jobs that it accepted."""

from api.live.open_here import OpenHere
from synthralos.domain.jobs import Tenant
from synthralos.domain.scope import EVERYTHING, Scope

TENANT = Tenant("acme", "main", "ann")


def test_a_job_is_open_until_its_end_is_heard() -> None:
    here = OpenHere()
    here.add("a", TENANT)
    assert here.shows("a", EVERYTHING)
    here.heard_end(["b", "a"])
    assert not here.shows("a", EVERYTHING)


def test_where_anything_may_have_been_missed_nothing_is_known() -> None:
    here = OpenHere()
    here.add("a", TENANT)
    here.heard_end(None)
    assert not here.shows("a", EVERYTHING)


def test_a_job_shows_within_its_tenants_scopes_alone() -> None:
    here = OpenHere()
    here.add("a", TENANT)
    within = [Scope("acme"), Scope("acme", "main"), Scope("acme", "main", "ann"), Scope(user="ann")]
    beyond = [Scope("other"), Scope("acme", "default"), Scope("acme", "main", "bob")]
    assert [here.shows("a", scope) for scope in within + beyond] == [True] * 4 + [False] * 3


def test_the_oldest_is_forgotten_first() -> None:
    here = OpenHere(most=2)
    for job_id in "abc":
        here.add(job_id, TENANT)
    assert [here.shows(job_id, EVERYTHING) for job_id in "abc"] == [False, True, True]
