"""Bodies about the organisation: its people, teams, roles and keys."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import (
    Field,
    StringConstraints,
)

from app.api.bodies.common import Body, example, unstated
from app.domain.access import Scope
from app.domain.team import MemberRole, TeamLevel
from app.domain.values import (
    ExternalRef,
    Key,
    Level,
    Line,
    Moment,
    Prose,
)

Email = Annotated[
    str,
    StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$"),
]


class FoundOrganizationBody(Body):
    model_config = example(name="Harbour & Sons")
    name: Line


class RenameOrganizationBody(FoundOrganizationBody):
    pass


class RegisterPersonBody(Body):
    model_config = example(name="Ada Park", email="ada@example.org")
    name: Line
    email: Email | None = None
    external: ExternalRef | None = None


class CorrectPersonBody(Body):
    """Only what is stated changes; a null `email` takes the address out of the directory."""

    model_config = example(name="Ada Lindqvist", email="ada.lindqvist@example.org")
    name: Line = unstated()
    email: Email | None = None


class FormTeamBody(Body):
    model_config = example(name="Growth", level="team")
    name: Line
    level: TeamLevel = Level.TEAM
    parent_id: UUID | None = None
    external: ExternalRef | None = None


class ChangeTeamBody(Body):
    """Only what is stated changes; a null `parent_id` moves the team to the top."""

    model_config = example(name="Growth and retention")
    name: Line = unstated()
    parent_id: UUID | None = None


class MemberBody(Body):
    model_config = example(role="leader")
    role: MemberRole = "member"


class IssueKeyBody(Body):
    model_config = example(name="Metrics bridge", scopes=["read", "check-ins:write"])
    name: Line
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=20)
    person_id: UUID | None = Field(
        default=None, description="Whom the key stands for: it does what their roles allow."
    )
    teams: tuple[UUID, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="For a key that stands for nobody: it acts for these teams and their members.",
    )
    key_results: tuple[UUID, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="For a key that stands for nobody: it checks in on these alone.",
    )
    sources: tuple[Key, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="For a key that stands for nobody: it checks in with an external id of one of "
        "these sources, or on a key result that one of them tracks.",
    )
    expires_at: Moment | None = None


class ErasePersonBody(Body):
    model_config = example(reason="She asked for it.")
    reason: Prose | None = None


class LinkIdentityBody(Body):
    model_config = example(issuer="https://login.example.org", subject="00u1a2b3")
    issuer: Key = Field(description="Exactly as the provider's tokens say it in `iss`.")
    subject: Key = Field(description="What they say in `sub`. Only a digest of it is kept.")


class RoleBody(Body):
    model_config = example(reason="She looks after the programme.")
    reason: Prose | None = None
