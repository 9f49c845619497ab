"""What a caller may see: all organizations, one organization, one of its workspaces, or one user's own."""

from dataclasses import dataclass


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


EVERYTHING = Scope()
