"""Whose scores a caller may see, by the decision about performance reviews.

It is the decision of now that counts, for the past too: what is no longer for everybody's eyes is
not shown by looking back. Whoever may read the history sees all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from app.application.authority import grants_of
from app.application.ledgers import Reader
from app.domain.access import Grant, Role, Scope, with_scope
from app.domain.deployment import PerformanceReviews
from app.domain.errors import Refusal
from app.domain.values import OwnerKind
from app.projections.decisions import DecisionRow
from app.projections.members import MemberRow
from app.projections.objectives import ObjectiveRow
from app.projections.rows import Rows

WITHHELD = (
    "Scores of somebody's own objectives are not shown to everybody here. Who sees them was "
    "decided at /deployment/performance_reviews."
)


class ScoresWithheld(Refusal):
    """The caller may not see these scores."""

    name = "scores-withheld"

    def __init__(self) -> None:
        super().__init__(WITHHELD)


async def reviews_decided(reader: Reader, rows: Rows | None = None) -> PerformanceReviews:
    """The answer in force now, or as these rows have it."""
    made = await (rows or reader.present).select(DecisionRow, {"question": "performance_reviews"})
    return PerformanceReviews.model_validate(made[-1].decision) if made else PerformanceReviews()


async def unseen_owners(reader: Reader, objectives: Iterable[ObjectiveRow]) -> frozenset[UUID]:
    """The people among the owners whose scores the caller may not see."""
    people = {row.owner_id for row in objectives if row.owner_kind == OwnerKind.PERSON}
    return await unseen(reader, people)


async def unseen(reader: Reader, people: Collection[UUID]) -> frozenset[UUID]:
    """Those of these people whose scores the caller may not see."""
    if not people:
        return frozenset()
    visible_to = (await reviews_decided(reader)).individual_scores_visible_to
    if "everyone" in visible_to:
        return frozenset()
    caller = reader.caller
    if caller is None:
        return frozenset(people)
    grants = await grants_of(reader.present, caller)
    if with_scope(grants, Scope.HISTORY_READ):
        return frozenset()
    seen: set[UUID] = set()
    if "owner" in visible_to and caller.person_id is not None:
        seen.add(caller.person_id)
    near: frozenset[UUID] = frozenset()
    if "leader" in visible_to:
        near |= _teams(grants, Role.LEADER)
    if "team" in visible_to:
        near |= _teams(grants, Role.MEMBER, Role.COACH)
    if near:
        members = await reader.present.select(MemberRow, {"person_id": list(people)})
        seen |= {row.person_id for row in members if row.team_id in near}
    return frozenset(people) - seen


def _teams(grants: Iterable[Grant], *roles: Role) -> frozenset[UUID]:
    found = [grant.reach.teams for grant in grants if grant.role in roles]
    return frozenset[UUID]().union(*found)
