"""What a caller may see: all organizations, one organization, one of its workspaces, or one user's own."""

from dataclasses import dataclass

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Scope:
    """None means: not restricted. Every read and every operation of a caller goes through one of these."""

    organization: str | None = None
    workspace: str | None = None
    user: str | None = None

    def admits(self, organization: str, workspace: str, user: str | None) -> bool:
        """Whether what belongs to that tenant is within."""
        return (
            (self.organization is None or self.organization == organization)
            and (self.workspace is None or self.workspace == workspace)
            and (self.user is None or self.user == user)
        )

    def conditions(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """The WHERE conditions for a table with the tenant's columns."""
        wanted = {"organization": self.organization, "workspace": self.workspace, "user_id": self.user}
        return [table.c[name] == value for name, value in wanted.items() if value is not None]


EVERYTHING = Scope()
