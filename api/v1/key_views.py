"""What is sent and answered about keys and organizations."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from api.v1.views import View
from pipelines.intake.closed import Closed
from pipelines.intake.schema import MOST_SECONDS, Name, Time
from synthralos.domain.permissions import Role

RoleName = Literal["viewer", "service", "operator", "admin"]
PlanName = Literal["free", "pro", "enterprise"]
KeyId = Annotated[str, Field(min_length=36, max_length=36, description="UUIDv7")]


class KeyIn(Closed):
    """A key to be made. It is bound to the tenant that is named, and to that of the key that makes it."""

    name: Annotated[Name, Field(description="what it is for")]
    role: Annotated[
        RoleName,
        Field(
            description="viewer reads; service also submits and cancels; operator also retries and reroutes; "
            "admin also manages keys"
        ),
    ] = "service"
    organization: Name | None = None
    workspace: Name | None = None
    user: Name | None = None
    account_plan: Annotated[PlanName | None, Field(description="put the organization on this plan")] = None
    expires_at: Annotated[Time | None, Field(description="from then on it is refused")] = None
    expires_in_seconds: Annotated[float, Field(gt=0, le=MOST_SECONDS, description="instead of expires_at")] | None = (
        None
    )


class RotateIn(Closed):
    """How a key is rotated."""

    grace_seconds: Annotated[
        float, Field(ge=0, le=MOST_SECONDS, description="for how long the old key goes on working")
    ] = 0.0


class OrganizationIn(Closed):
    """The plan that an organization is put on."""

    account_plan: PlanName


class KeyView(View):
    """A key, without the key itself."""

    id: KeyId
    name: str
    prefix: Annotated[str, Field(description="how the key begins; records name it by this")]
    role: Role
    organization: Annotated[str | None, Field(description="null: the whole installation")]
    workspace: str | None
    user: str | None
    account_plan: Annotated[str | None, Field(description="the organization's")]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    last_used_at: Annotated[AwareDatetime | None, Field(description="true to about half a minute")]
    revoked_at: AwareDatetime | None


class NewKey(KeyView):
    """A key that was just made: the only time that it is shown."""

    key: Annotated[str, Field(description="keep it: only its hash is stored")]


class KeyList(View):
    """Keys."""

    keys: list[KeyView]


class OrganizationView(View):
    """An organization and its plan."""

    name: str
    account_plan: str
    created_at: AwareDatetime


class OrganizationList(View):
    """Organizations."""

    organizations: list[OrganizationView]
