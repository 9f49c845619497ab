"""Roles are sets of acts, each within the next; what is written out elsewhere names them all."""

from itertools import pairwise
from typing import get_args

import pytest

import cli.keys
from api.v1.key_views import PlanName, RoleName
from synthralos.domain.account_plans import AccountPlan
from synthralos.domain.limits import DEFAULT_LIMITS
from synthralos.domain.permissions import PERMISSIONS, Permission, Role, roles_with


def test_each_role_may_do_what_the_one_before_may() -> None:
    assert all(PERMISSIONS[less] < PERMISSIONS[more] for less, more in pairwise(Role))
    assert PERMISSIONS[Role.ADMIN] == set(Permission)


@pytest.mark.parametrize("permission", Permission)
def test_somebody_may_do_it(permission: Permission) -> None:
    assert Role.ADMIN in roles_with(permission)


def test_names_that_are_written_out_are_all_of_them() -> None:
    assert get_args(RoleName) == get_args(cli.keys.RoleName) == tuple(Role)
    assert get_args(PlanName) == get_args(cli.keys.PlanName) == tuple(AccountPlan) == tuple(DEFAULT_LIMITS)
