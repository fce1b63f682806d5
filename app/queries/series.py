"""Progress over time, ready to plot: what counts now, in the order of what it speaks of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from itertools import pairwise
from typing import TypeVar
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.errors import NotFound
from app.domain.measures import AnyMeasure, Metric, Rung, Threshold, Told, course, measure_of
from app.domain.scoring import ROLL_UP, roll_up
from app.domain.values import Health, Number
from app.projections.check_ins import CheckInRow
from app.projections.cycles import CycleRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.queries import check_ins, cycles, goals
from app.queries.views import Figure, View

T = TypeVar("T")

MOST_POINTS = 500
_BUCKETS = MOST_POINTS // 4
"""Each keeps its first and last point, and the lowest and highest between them."""


class PointView(View):
    """A check-in. `value`, `confidence` and `health` are what it said, null where it did not.

    `progress` is where the key result stood by then, by the readings that count now and occurred
    up to that moment.
    """

    at: datetime = Field(description="When it was true.")
    value: bool | Rung | Number | None
    progress: Figure
    confidence: Figure
    health: Health | None
    check_in_id: UUID
    position: int
    corrected: bool = Field(description="What it says now is not what it said at first.")


class RetractedPointView(View):
    """A check-in that counts no more, with the progress that it was recorded with."""

    at: datetime
    value: bool | Rung | Number | None
    progress: Figure
    check_in_id: UUID
    position: int
    reason: str | None


class LinePointView(View):
    """A point of the ideal line, or the forecast. `value` is null where there is no number."""

    at: datetime
    value: Number | None
    progress: Figure


class _SeriesView(View):
    """`points_found` is how many points there are; of more than 500, some are left out."""

    points_found: int
    sampled: bool = Field(
        description="Whether points are left out: of each of 125 stretches with equally many "
        "points the first, the last, the lowest and the highest are shown."
    )
    ideal: list[LinePointView] = Field(
        description="From the cycle's first moment to its last; empty where there is no line."
    )


class KeyResultSeriesView(_SeriesView):
    """The check-ins on a key result that count, in the order of when they were true."""

    key_result_id: UUID
    version: int
    unit: str | None
    points: list[PointView]
    retracted: list[RetractedPointView] = Field(
        description="What counts no more: at most the 500 retracted last."
    )
    forecast: LinePointView | None = Field(
        description="The last point of the line that goes on at the average pace; null where no "
        "forecast is told."
    )


class RollUpPointView(View):
    """An objective as it stood after a check-in on one of its key results."""

    at: datetime
    progress: Figure
    confidence: Figure
    health: str = Field(
        description="The worst that was last said of a key result; pending where nothing was.",
        examples=["at_risk"],
    )
    key_result_id: UUID
    check_in_id: UUID
    position: int


class ObjectiveSeriesView(_SeriesView):
    """The roll-up of the key results that are not removed, by the weights they have now."""

    objective_id: UUID
    version: int
    formula: str = Field(examples=[ROLL_UP])
    points: list[RollUpPointView]


# Figures ----------------------------------------------------------------------------------


def thinned(points: Sequence[T], height: Callable[[T], Decimal | None]) -> list[T]:
    """At most 500 of the points, in order: each stretch keeps first, last, lowest and highest."""
    if len(points) <= MOST_POINTS:
        return list(points)
    edges = [len(points) * i // _BUCKETS for i in range(_BUCKETS + 1)]
    kept: list[T] = []
    for begin, end in pairwise(edges):
        known = [(told, i) for i in range(begin, end) if (told := height(points[i])) is not None]
        extremes = {min(known)[1], max(known)[1]} if known else set[int]()
        kept += [points[i] for i in sorted({begin, end - 1} | extremes)]
    return kept


def _ends(cycle: CycleRow) -> tuple[datetime, datetime]:
    return (
        datetime.combine(cycle.starts_on, time.min, UTC),
        datetime.combine(cycle.ends_on, time.max, UTC),
    )


def _ideal(measure: AnyMeasure, cycle: CycleRow) -> list[LinePointView]:
    """A metric goes from baseline to target, and a threshold is held; others have no way."""
    begins, ends = _ends(cycle)
    match measure:
        case Metric():
            line = [(begins, measure.baseline, 0), (ends, measure.target, 1)]
        case Threshold():
            line = [(begins, measure.limit, 1), (ends, measure.limit, 1)]
        case _:
            return []
    return [
        LinePointView(at=at, value=value, progress=Decimal(reached)) for at, value, reached in line
    ]


def _stood(
    measure: AnyMeasure, rows: Sequence[CheckInRow], cycle: CycleRow
) -> list[Decimal | None]:
    """The progress after each check-in, by all readings up to it."""
    told = [
        Told(reading, row.occurred_at)
        for row in rows
        if (reading := check_ins.check_in_reading(row)) is not None
    ]
    reached = iter(course(measure, told, held_by=goals.rules_of(cycle).threshold_by))
    stood: list[Decimal | None] = []
    for row in rows:
        silent = row.value is None
        stood.append((stood[-1] if stood else None) if silent else next(reached))
    return stood


def _counted(rows: Sequence[CheckInRow]) -> list[CheckInRow]:
    """What counts, in the order of what it speaks of; of one moment, as it was recorded."""
    return sorted((row for row in rows if not row.retracted), key=lambda row: row.occurred_at)


def _height(point: PointView) -> Decimal | None:
    """Values reach beyond the target, where progress ends."""
    return point.value if isinstance(point.value, Decimal) else point.progress


# Queries ----------------------------------------------------------------------------------


async def of_key_result(reader: Reader, key_result_id: UUID) -> KeyResultSeriesView:
    """Raises NotFound."""
    row = await goals.key_result_row(reader, key_result_id)
    cycle = await cycles.row(reader, row.cycle_id)
    measure = measure_of.validate_python(row.measure)
    told = await reader.rows.select(CheckInRow, {"key_result_id": key_result_id})
    counted = _counted(told)
    points = [
        PointView(
            at=one.occurred_at,
            value=check_ins.check_in_reading(one),
            progress=stood,
            confidence=one.confidence,
            health=None if one.health is None else Health(one.health),
            check_in_id=one.check_in_id,
            position=one.position,
            corrected=one.corrected_at is not None,
        )
        for one, stood in zip(counted, _stood(measure, counted, cycle), strict=True)
    ]
    shown = thinned(points, _height)
    return KeyResultSeriesView(
        key_result_id=key_result_id,
        version=row.version,
        unit=getattr(measure, "unit", None),
        points=shown,
        points_found=len(points),
        sampled=len(shown) < len(points),
        retracted=_retracted(told),
        ideal=_ideal(measure, cycle),
        forecast=_forecast(row, measure, cycle),
    )


def _retracted(rows: Sequence[CheckInRow]) -> list[RetractedPointView]:
    gone = sorted((row for row in rows if row.retracted), key=lambda row: row.version)
    return [
        RetractedPointView(
            at=one.occurred_at,
            value=check_ins.check_in_reading(one),
            progress=one.progress,
            check_in_id=one.check_in_id,
            position=one.position,
            reason=one.reason,
        )
        for one in sorted(gone[-MOST_POINTS:], key=lambda row: row.occurred_at)
    ]


def _forecast(row: KeyResultRow, measure: AnyMeasure, cycle: CycleRow) -> LinePointView | None:
    told = goals.forecast(row, cycle)
    if told is None:
        return None
    value = None
    if isinstance(measure, Metric):
        value = measure.baseline + told * (measure.target - measure.baseline)
    return LinePointView(at=_ends(cycle)[1], value=value, progress=told)


async def of_objective(reader: Reader, objective_id: UUID) -> ObjectiveSeriesView:
    """Raises NotFound."""
    row = await reader.rows.get(ObjectiveRow, objective_id)
    if row is None:
        raise NotFound("objective", objective_id)
    cycle = await cycles.row(reader, row.cycle_id)
    parts = await reader.rows.select(KeyResultRow, {"objective_id": objective_id, "removed": False})
    ids = [part.key_result_id for part in parts]
    told = await reader.rows.select(CheckInRow, {"key_result_id": ids}) if ids else []
    points = _rolled_up(parts, told, cycle)
    shown = thinned(points, lambda point: point.progress)
    begins, ends = _ends(cycle)
    return ObjectiveSeriesView(
        objective_id=objective_id,
        version=row.version,
        formula=ROLL_UP,
        points=shown,
        points_found=len(points),
        sampled=len(shown) < len(points),
        ideal=[
            LinePointView(at=at, value=None, progress=Decimal(reached))
            for at, reached in ((begins, 0), (ends, 1))
        ],
    )


def _rolled_up(
    parts: Sequence[KeyResultRow], told: Sequence[CheckInRow], cycle: CycleRow
) -> list[RollUpPointView]:
    of_part: dict[UUID, list[CheckInRow]] = defaultdict(list)
    for one in _counted(told):
        of_part[one.key_result_id].append(one)
    steps = [
        (one, stood)
        for part in parts
        for one, stood in zip(
            of_part[part.key_result_id],
            _stood(measure_of.validate_python(part.measure), of_part[part.key_result_id], cycle),
            strict=True,
        )
    ]
    steps.sort(key=lambda step: (step[0].occurred_at, step[0].position))
    weights = {part.key_result_id: part.weight for part in parts}
    reached: dict[UUID, Decimal | None] = dict.fromkeys(weights)
    hoped: dict[UUID, Decimal | None] = dict.fromkeys(weights)
    judged = dict.fromkeys(weights, "pending")
    points = []
    for one, stood in steps:
        id = one.key_result_id
        reached[id] = stood
        hoped[id] = hoped[id] if one.confidence is None else one.confidence
        judged[id] = one.health or judged[id]
        points.append(
            RollUpPointView(
                at=one.occurred_at,
                progress=roll_up((reached[part], weight) for part, weight in weights.items()),
                confidence=roll_up((hoped[part], weight) for part, weight in weights.items()),
                health=goals.worst(list(judged.values())),
                key_result_id=id,
                check_in_id=one.check_in_id,
                position=one.position,
            )
        )
    return points
