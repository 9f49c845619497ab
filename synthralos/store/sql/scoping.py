"""What a caller may see, as conditions of a query."""

import sqlalchemy as sa

from synthralos.domain.scope import Scope


def within(scope: Scope, table: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    """The WHERE conditions for a table with the tenant's columns."""
    wanted = {"organization": scope.organization, "workspace": scope.workspace, "user_id": scope.user}
    return [table.c[name] == value for name, value in wanted.items() if value is not None]
