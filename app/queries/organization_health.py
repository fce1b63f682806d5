"""How a programme fares over its cycles: the failure modes of each, and of all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.cycle import Phase
from app.domain.errors import NotFound
from app.domain.scoring import roll_up
from app.projections.cycles import CycleRow
from app.queries import failure_modes
from app.queries.failure_modes import MODES, NO_COACH, NO_COACH_DEFINITION, Facts
from app.queries.programme_health import (
    Calibration,
    ClaimsCalibration,
    calibration,
    claims,
    part,
)
from app.queries.views import Figure, View

MOST_CYCLES = 40
"""So many cycles are counted, the newest: ten years of quarters."""
MOST_ITEMS = 100
"""So many items are named behind a figure."""

T = TypeVar("T")


class Behind(View):
    """Something that a figure counts, and in which cycle; null where it belongs to none."""

    cycle_id: UUID | None
    id: UUID


class SummedMode(View):
    """A way to fail, added up over cycles. Those of the newest cycles are named first.

    `left_off` says how many more are counted than named.
    """

    id: str = Field(examples=["set_and_forget"])
    definition: str
    numerator: int
    denominator: int
    share: Figure
    items: list[Behind]
    left_off: int


class Counted(View):
    numerator: int
    denominator: int
    share: Figure


class CycleHealth(View):
    """A cycle in short. Its report, with the items, is at /cycles/{cycle_id}/health.

    `score` is the weighted mean of its scored key results.
    """

    cycle_id: UUID
    name: str
    starts_on: date
    ends_on: date
    phase: Phase
    failure_modes: dict[str, Counted] = Field(description="By the id of the mode.")
    bottom_up_share: Figure
    bottom_up_target: Figure
    score: Figure
    brier: Figure = Field(description="Of stated confidence.")
    claims_brier: Figure = Field(description="Of what the scoring system claims.")


class OrganizationHealth(View):
    """Cycles from the first to the last, so that a trend is seen; and all of them together.

    Those that were opened and not cancelled are counted, the newest of them. `calibration` and
    `claims` name at most a hundred key results; how many they count, they say. `withheld` key
    results are left out of what is made of scores, as you may not see theirs.
    """

    team_id: UUID | None
    cycles: list[CycleHealth]
    cycles_left_off: int
    failure_modes: list[SummedMode]
    bottom_up_share: Figure
    calibration: Calibration
    claims: ClaimsCalibration
    withheld: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Which cycles: these, or those that have a day within these; of one team, or of all."""

    cycle_ids: Sequence[UUID] = ()
    first_day: date | None = None
    last_day: date | None = None
    team_id: UUID | None = None

    def takes(self, row: CycleRow) -> bool:
        if row.opened_at is None or row.phase == Phase.CANCELLED:
            return False
        begin = max(row.starts_on, self.first_day or row.starts_on)
        end = min(row.ends_on, self.last_day or row.ends_on)
        return begin <= end and (not self.cycle_ids or row.cycle_id in self.cycle_ids)


def _counted(count: int, of: int) -> Counted:
    return Counted(numerator=count, denominator=of, share=part(count, of))


def _in_short(facts: Facts) -> CycleHealth:
    row = facts.cycle
    found = {mode.id: mode.find(facts) for mode in MODES}
    from_below = failure_modes.share_from_below(facts)
    return CycleHealth(
        cycle_id=row.cycle_id,
        name=row.name,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        phase=Phase(row.phase),
        failure_modes={id: _counted(len(one.items), one.of) for id, one in found.items()},
        bottom_up_share=part(len(from_below.items), from_below.of),
        bottom_up_target=facts.decided.bottom_up.target_share,
        score=roll_up((one.score, one.weight) for one in facts.scored),
        brier=calibration(failure_modes.confidences(facts)).brier,
        claims_brier=claims(failure_modes.claimed(facts)).brier,
    )


def summed(id: str, definition: str, items: Sequence[Behind], of: int) -> SummedMode:
    """Counts all items, and names the first of them."""
    return SummedMode(
        id=id,
        definition=definition,
        numerator=len(items),
        denominator=of,
        share=part(len(items), of),
        items=_bounded(items),
        left_off=max(len(items) - MOST_ITEMS, 0),
    )


def _modes(newest_first: Sequence[Facts]) -> Iterable[SummedMode]:
    for mode in MODES:
        found = [(facts.cycle.cycle_id, mode.find(facts)) for facts in newest_first]
        items = [Behind(cycle_id=cycle, id=id) for cycle, one in found for id in one.items]
        yield summed(mode.id, mode.definition, items, sum(one.of for _, one in found))


def _bounded(items: Sequence[T]) -> list[T]:
    return list(items[:MOST_ITEMS])


def _all_forecasts(newest_first: Sequence[Facts]) -> Calibration:
    found = calibration([one for facts in newest_first for one in failure_modes.confidences(facts)])
    return found.model_copy(update={"items": _bounded(found.items)})


def _all_claims(newest_first: Sequence[Facts]) -> ClaimsCalibration:
    found = claims([one for facts in newest_first for one in failure_modes.claimed(facts)])
    levels = [level.model_copy(update={"items": _bounded(level.items)}) for level in found.levels]
    return found.model_copy(update={"items": _bounded(found.items), "levels": levels})


async def health(reader: Reader, asked: Asked) -> OrganizationHealth:
    """Raises NotFound for a cycle that is not there."""
    there = await reader.rows.select(CycleRow)
    known = {row.cycle_id for row in there}
    for cycle_id in asked.cycle_ids:
        if cycle_id not in known:
            raise NotFound("cycle", cycle_id)
    taken = [row for row in there if asked.takes(row)]
    # Of two that begin on the same day, the longer holds the other.
    taken.sort(key=lambda row: (row.starts_on, -row.ends_on.toordinal()))
    rows = taken[-MOST_CYCLES:]
    facts = await failure_modes.gather(reader, rows, asked.team_id)
    newest_first = facts[::-1]
    uncovered = await failure_modes.no_coach(reader, asked.team_id)
    without = [Behind(cycle_id=None, id=id) for id in uncovered.items]
    from_below = [failure_modes.share_from_below(one) for one in facts]
    return OrganizationHealth(
        team_id=asked.team_id,
        cycles=[_in_short(one) for one in facts],
        cycles_left_off=len(taken) - len(rows),
        failure_modes=[
            *_modes(newest_first),
            summed(NO_COACH, NO_COACH_DEFINITION, without, uncovered.of),
        ],
        bottom_up_share=part(
            sum(len(one.items) for one in from_below), sum(one.of for one in from_below)
        ),
        calibration=_all_forecasts(newest_first),
        claims=_all_claims(newest_first),
        withheld=sum(one.withheld for one in facts),
    )
