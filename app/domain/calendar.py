"""The calendar of a programme: which cycles a year has, and which windows a cycle has.

Two ways of counting. A year that begins on the first of a month is counted in calendar months.
Any other beginning counts whole weeks: 52 to the year, `cycle_length.weeks` to a quarter. Cycles
follow one another from the first day of the year, as many as fit; what a last one would need
beyond the year's end stays free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from app.domain.deployment import CADENCE_DAYS, Cadence, CycleLength, Deployment, Rhythm
from app.domain.scoring import days
from app.domain.values import Count, Day, Level, Value

_MONTHS: dict[Cadence, int] = {
    Cadence.MONTHLY: 1,
    Cadence.QUARTERLY: 3,
    Cadence.FOUR_MONTH: 4,
    Cadence.HALF_YEAR: 6,
    Cadence.YEAR: 12,
}
_WEEKS: dict[Cadence, int] = {
    Cadence.MONTHLY: 4,
    Cadence.QUARTERLY: 13,
    Cadence.FOUR_MONTH: 17,
    Cadence.HALF_YEAR: 26,
    Cadence.YEAR: 52,
}
_LETTER: dict[Cadence, str] = {
    Cadence.QUARTERLY: "Q",
    Cadence.FOUR_MONTH: "T",
    Cadence.HALF_YEAR: "H",
}


class Period(NamedTuple):
    """A cycle to be: its name, its first and its last day."""

    name: str
    starts_on: date
    ends_on: date


class Windows(Value):
    """When what belongs to a cycle is to happen, as decided when its dates were.

    Drafting opens `planning_days` before the first day. Scoring takes the last `scoring_days` of
    the cycle, its last day included. The reflection is announced `reflection_notice_days` before
    the last day. Neither comes before the cycle's first day. A check-in is due every so many days
    from the first day on.
    """

    drafting_from: Day
    scoring_from: Day
    reflection_announced_on: Day
    check_in_every_days: Count


def rhythm_of(rhythm: Rhythm, level: Level) -> Cadence:
    """How often a level sets its goals."""
    return {
        Level.COMPANY: rhythm.company,
        Level.TEAM: rhythm.team,
        Level.INDIVIDUAL: rhythm.individual,
    }[level]


def _in_months(starts_on: date) -> bool:
    return starts_on.day == 1


def _months_later(first: date, months: int) -> date:
    """The first of a month so many months later."""
    count = first.year * 12 + first.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def year_from(year: int, starts_on: date) -> Period:
    """The year that begins on this day: 12 months, or 52 weeks."""
    if _in_months(starts_on):
        return Period(str(year), starts_on, _months_later(starts_on, 12) - timedelta(days=1))
    return Period(str(year), starts_on, starts_on + timedelta(weeks=52, days=-1))


def cycles_of_year(cadence: Cadence, year: Period, decided: Deployment) -> tuple[Period, ...]:
    """The cycles of a cadence that lie within a year, in order and without a gap between them.

    None where a single one is longer than the year.
    """
    if cadence is Cadence.YEAR:
        return (year,)
    found: list[Period] = []
    for number, (starts_on, ends_on) in enumerate(_spans(cadence, year.starts_on, decided), 1):
        if ends_on > year.ends_on:
            break
        name = _name(cadence, year, number, starts_on, ends_on)
        found.append(Period(name, starts_on, ends_on))
    return tuple(found)


def _spans(cadence: Cadence, starts_on: date, decided: Deployment) -> Iterator[tuple[date, date]]:
    """Spans of days, one after another, without end."""
    by_month = _in_months(starts_on) and cadence is not Cadence.CUSTOM
    length = timedelta(days=_length(cadence, decided))
    here = starts_on
    while True:
        following = _months_later(here, _MONTHS[cadence]) if by_month else here + length
        yield here, following - timedelta(days=1)
        here = following


def _length(cadence: Cadence, decided: Deployment) -> int:
    """The days of a cycle that is not counted in months."""
    if cadence is Cadence.CUSTOM:
        assert decided.cadence.custom_days is not None, "a custom cadence has its length"
        return decided.cadence.custom_days
    quarter = 7 * decided.cycle_length.weeks
    if cadence is Cadence.QUARTERLY and quarter in CADENCE_DAYS[cadence]:
        return quarter
    return 7 * _WEEKS[cadence]


def _name(cadence: Cadence, year: Period, number: int, starts_on: date, ends_on: date) -> str:
    if cadence in _LETTER:
        return f"{year.name} {_LETTER[cadence]}{number}"
    if cadence is Cadence.MONTHLY and _in_months(starts_on):
        return starts_on.isoformat()[:7]
    weeks, rest = divmod(days(starts_on, ends_on), 7)
    length = f"{days(starts_on, ends_on)} days" if rest else f"{weeks} weeks"
    return f"{starts_on} ({'1 week' if length == '1 weeks' else length})"


def windows(starts_on: date, ends_on: date, decided: Deployment) -> Windows:
    """The windows of a cycle of these days."""
    length: CycleLength = decided.cycle_length
    return Windows(
        drafting_from=_before(starts_on, length.planning_days),
        scoring_from=max(starts_on, _before(ends_on, length.scoring_days - 1)),
        reflection_announced_on=max(starts_on, _before(ends_on, length.reflection_notice_days)),
        check_in_every_days=decided.cadence.check_in_every_days,
    )


def _before(day: date, count: int) -> date:
    """So many days earlier, or the calendar's first day."""
    return date.fromordinal(max(1, day.toordinal() - count))


def check_ins_due(starts_on: date, ends_on: date, every_days: int) -> tuple[date, ...]:
    """The days of a cycle on which a check-in is due: every so many from its first day."""
    return tuple(
        starts_on + timedelta(days=passed)
        for passed in range(every_days, days(starts_on, ends_on), every_days)
    )


class Step(StrEnum):
    """What a cycle's windows are for."""

    DRAFTING = "drafting"
    EXECUTION = "execution"
    SCORING = "scoring"


class Timing(NamedTuple):
    """Steps taken before their window, and steps taken after it or still to be taken then."""

    early: tuple[Step, ...]
    late: tuple[Step, ...]


def timing(
    starts_on: date, ends_on: date, kept: Windows, begun: Mapping[Step, date], today: date
) -> Timing:
    """How a cycle keeps its windows; `begun` tells on which day each step was taken.

    Drafting begins before the first day, execution on it, scoring between the opening of its
    window and the last day. A window warns and locks nothing.
    """
    spans = {
        Step.DRAFTING: (kept.drafting_from, _before(starts_on, 1)),
        Step.EXECUTION: (starts_on, starts_on),
        Step.SCORING: (kept.scoring_from, ends_on),
    }
    early = [step for step, (first, _) in spans.items() if step in begun and begun[step] < first]
    late = [step for step, (_, last) in spans.items() if begun.get(step, today) > last]
    return Timing(tuple(early), tuple(late))
