"""The cycle that another one is reset into: planned with the reset, or there already."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pydantic import Field

from app.domain import cycle as cycles
from app.domain.cycle import Cycle, CycleContinued, CycleDraftingBegun, Phase
from app.domain.deployment import Deployment
from app.domain.errors import Refusal
from app.domain.messages import Event
from app.domain.planning import check_free, check_levels
from app.domain.values import Day, Level, Line, Value

_NAMED_AT_MOST = 3


class NextCycle(Value):
    """The cycle to draft. It begins after the one that is reset did.

    Levels left out are those of the cycle that is reset.
    """

    name: Line
    starts_on: Day
    ends_on: Day
    parent_id: UUID | None = None
    levels: tuple[Level, ...] | None = Field(default=None, min_length=1, max_length=3)


def plan_next(
    state: Cycle,
    wanted: NextCycle,
    *,
    cycle_id: UUID,
    deployment: Deployment,
    parent: Cycle | None,
    others: Sequence[Cycle],
) -> list[Event]:
    """Plan the next cycle, and begin to draft it.

    Raises Refusal, also where another cycle has some of its days for a level of its; NotFound
    (parent), DecisionRefuses.
    """
    if wanted.starts_on <= state.starts_on:
        raise Refusal(
            f"The next cycle must begin after this one did ({state.starts_on}).",
            pointer="/next_cycle/starts_on",
        )
    levels = state.levels
    if wanted.levels is not None:
        levels = tuple(dict.fromkeys(wanted.levels))
        check_levels(deployment, levels, "/next_cycle/levels")
    planned = cycles.plan(
        deployment,
        cycle_id=cycle_id,
        name=wanted.name,
        starts_on=wanted.starts_on,
        ends_on=wanted.ends_on,
        parent_id=wanted.parent_id,
        parent=parent,
        previous_id=state.cycle_id,
        levels=levels,
        pointer="/next_cycle",
    )
    if levels:
        check_free(
            wanted.starts_on,
            wanted.ends_on,
            levels,
            [o for o in others if o.cycle_id != state.cycle_id and not o.is_over],
            f"{wanted.name!r}",
            "/next_cycle/starts_on",
            "name that one as next_cycle_id, or choose other days",
        )
    return [planned, CycleDraftingBegun(cycle_id=cycle_id)]


def join(state: Cycle, following: Cycle, others: Sequence[Cycle]) -> list[Event]:
    """Go on in a cycle that is there already; it begins to be drafted if it was only planned.

    Raises Refusal where it does not follow, and names those of the others that do.
    """
    obstacle = _obstacle(state, following)
    if obstacle is not None:
        would_do = [one for one in others if _obstacle(state, one) is None]
        would_do.sort(key=lambda one: one.starts_on)
        named = ", ".join(f"{one.name!r} ({one.cycle_id})" for one in would_do[:_NAMED_AT_MOST])
        instead = f"Name one of these: {named}" if named else "Plan one: next_cycle"
        raise Refusal(f"{following.name!r} {obstacle}. {instead}.", pointer="/next_cycle_id")
    events: list[Event] = [CycleContinued(cycle_id=following.cycle_id, previous_id=state.cycle_id)]
    if following.phase is Phase.PLANNED:
        events.append(CycleDraftingBegun(cycle_id=following.cycle_id))
    return events


def _obstacle(state: Cycle, other: Cycle) -> str | None:
    """Why a cycle cannot go on in another one; None if it can."""
    if other.starts_on <= state.starts_on:
        return f"does not begin after this one did ({state.starts_on})"
    if other.phase not in (Phase.PLANNED, Phase.DRAFTING):
        return f"is {other.phase}, and a cycle goes on in one that is planned or drafting"
    if other.parent_id == state.cycle_id:
        return "lies within this one"
    # A cycle that was planned by itself is for whoever drafts in it.
    if state.levels and other.levels and not set(state.levels) & set(other.levels):
        levels = " and ".join(other.levels)
        return f"is for {levels}, and this one for {' and '.join(state.levels)}"
    return None
