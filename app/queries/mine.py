"""What is somebody's: their objectives, what was given to them, and what their teams have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.cycle import Phase
from app.domain.errors import Refusal
from app.domain.objective import Status
from app.domain.values import OwnerKind, made
from app.projections.cycles import CycleRow
from app.projections.key_results import KeyResultRow
from app.projections.members import MemberRow
from app.projections.objectives import ObjectiveRow
from app.queries import goals, programme
from app.queries.goals import ObjectiveView
from app.queries.reminders import DAYS_AHEAD
from app.queries.views import OwnerView, View, owners

Because = Literal["owner", "given", "team"]


class StandsForNobody(Refusal):
    """The key stands for nobody, so nothing is theirs."""

    name = "stands-for-nobody"

    def __init__(self) -> None:
        super().__init__(
            "This key stands for nobody, so there is nothing that is yours. Ask with a key that "
            "was issued for a person, or with a person's token."
        )


class MyObjectiveView(ObjectiveView):
    """An objective, and what makes it yours."""

    because: list[Because] = Field(
        description="`owner`: you own it. `given`: a key result in it was given to you. `team`: a "
        "team of yours owns it, or was given a key result in it."
    )


class DueCheckInView(View):
    """A key result that waits for a check-in, from whoever it was given to, or else the owner.

    `due_at` is the moment from which silence is shown as `outdated`: the rhythm, and its grace.
    """

    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID
    title: str
    objective_title: str
    owner: OwnerView
    last_check_in_at: datetime | None
    due_at: datetime
    overdue: bool
    late_days: int = Field(ge=0, description="Whole days since it fell due.")
    health: str = Field(examples=["outdated"])


@dataclass(frozen=True, slots=True)
class Mine:
    """Who asks, or a team, and the teams whose goals are theirs as well."""

    person_id: UUID | None
    teams: frozenset[UUID]

    def has(self, kind: str | None, id: UUID | None) -> bool:
        return id is not None and (
            id == self.person_id if kind == OwnerKind.PERSON else id in self.teams
        )

    @property
    def ids(self) -> list[UUID]:
        return [*self.teams, *([self.person_id] if self.person_id else [])]


async def of_caller(reader: Reader) -> Mine:
    """Raises StandsForNobody."""
    caller = reader.caller
    if caller is None or caller.person_id is None:
        raise StandsForNobody
    belongs = await reader.rows.select(MemberRow, {"person_id": caller.person_id})
    return Mine(caller.person_id, frozenset(row.team_id for row in belongs))


async def of_team(reader: Reader, team_id: UUID) -> Mine:
    """Raises NotFound."""
    await programme.team(reader, team_id)
    return Mine(None, frozenset({team_id}))


# Objectives -------------------------------------------------------------------------------


async def objective_ids(reader: Reader, mine: Mine) -> list[UUID]:
    """The objectives that they own, or that have a key result which was given to them."""
    owned = await reader.rows.select(ObjectiveRow, {"owner_id": mine.ids})
    given = await reader.rows.select(KeyResultRow, {"owner_id": mine.ids, "removed": False})
    found = [row.objective_id for row in owned if mine.has(row.owner_kind, row.owner_id)]
    found += [row.objective_id for row in given if mine.has(row.owner_kind, row.owner_id)]
    return list(dict.fromkeys(found))


async def objectives(reader: Reader, rows: list[ObjectiveRow]) -> list[MyObjectiveView]:
    """Objectives of whoever asks, each with what makes it theirs."""
    mine = await of_caller(reader)
    return [
        made(MyObjectiveView, **view.__dict__, because=list(_because(view, mine)))
        for view in await goals.objectives(reader, rows)
    ]


def _because(view: ObjectiveView, mine: Mine) -> Iterable[Because]:
    given = [part.owner for part in view.key_results if part.owner and not part.removed]
    if mine.person_id is not None:
        if view.owner.id == mine.person_id:
            yield "owner"
        if any(owner.id == mine.person_id for owner in given):
            yield "given"
    if any(owner.id in mine.teams for owner in (view.owner, *given)):
        yield "team"


# Check-ins that are due -------------------------------------------------------------------


async def running_cycles(reader: Reader) -> dict[str, Any]:
    """Where check-ins are due: in cycles that are being carried out."""
    active = await reader.rows.select(CycleRow, {"phase": Phase.ACTIVE})
    return {"cycle_id": [row.cycle_id for row in active], "removed": False}


async def expected_of(reader: Reader, rows: list[KeyResultRow], mine: Mine) -> list[KeyResultRow]:
    """Those of committed objectives that they are to check in on."""
    above = await goals.parents_of(reader, rows)

    def waits(row: KeyResultRow) -> bool:
        objective = above[row.objective_id]
        return objective.status == Status.COMMITTED and mine.has(*goals.answerable(row, objective))

    return [row for row in rows if waits(row)]


async def due(reader: Reader, rows: list[KeyResultRow]) -> list[DueCheckInView]:
    """Views of what `expected_of` found."""
    above = await goals.parents_of(reader, rows)
    refs = [goals.answerable(row, above[row.objective_id]) for row in rows]
    known = await owners(reader, refs)
    return [
        DueCheckInView(
            key_result_id=view.id,
            objective_id=view.objective_id,
            cycle_id=view.cycle_id,
            title=view.title,
            objective_title=above[view.objective_id].title,
            owner=known[ref],
            last_check_in_at=view.last_check_in_at,
            due_at=view.check_in_due_at,
            overdue=view.check_in_due_at < reader.at,
            late_days=max(0, (reader.at - view.check_in_due_at).days),
            health=view.health,
        )
        for ref, view in zip(refs, await goals.key_results(reader, rows), strict=True)
        # In a running cycle, a committed objective's always fall due.
        if view.check_in_due_at is not None
    ]


def due_by(reader: Reader, until: date | None) -> Callable[[DueCheckInView], bool]:
    """Whether something falls due by the end of a day, in UTC; by default in two weeks."""
    last = until or reader.at.date() + timedelta(days=DAYS_AHEAD)
    end = datetime.combine(last, time.max, UTC)
    return lambda view: view.due_at <= end
