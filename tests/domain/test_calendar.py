"""The calendar: cycles of a year without gap or overlap, and the windows of a cycle."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from app.domain.calendar import (
    Period,
    Step,
    check_ins_due,
    cycles_of_year,
    rhythm_of,
    timing,
    windows,
    year_from,
)
from app.domain.deployment import Cadence, CycleLength, Deployment, Rhythm
from app.domain.scoring import days
from app.domain.values import Level

DEFAULTS = Deployment()
YEAR = year_from(2026, date(2026, 1, 1))
A_DAY = st.dates(date(1900, 1, 1), date(2200, 12, 31))
A_FIRST = A_DAY.map(lambda day: day.replace(day=1))
DECIDED = st.builds(
    lambda custom, weeks: Deployment(
        cadence=Rhythm(company=Cadence.CUSTOM, custom_days=custom),
        cycle_length=CycleLength(weeks=weeks),
    ),
    st.integers(7, 731),
    st.integers(1, 104),
)


def _days(number: int) -> timedelta:
    return timedelta(days=number)


# Cycles of a year -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cadence", "expected"),
    [
        (Cadence.YEAR, [("2026", "2026-01-01", "2026-12-31")]),
        (
            Cadence.HALF_YEAR,
            [("2026 H1", "2026-01-01", "2026-06-30"), ("2026 H2", "2026-07-01", "2026-12-31")],
        ),
        (
            Cadence.FOUR_MONTH,
            [
                ("2026 T1", "2026-01-01", "2026-04-30"),
                ("2026 T2", "2026-05-01", "2026-08-31"),
                ("2026 T3", "2026-09-01", "2026-12-31"),
            ],
        ),
        (
            Cadence.QUARTERLY,
            [
                ("2026 Q1", "2026-01-01", "2026-03-31"),
                ("2026 Q2", "2026-04-01", "2026-06-30"),
                ("2026 Q3", "2026-07-01", "2026-09-30"),
                ("2026 Q4", "2026-10-01", "2026-12-31"),
            ],
        ),
    ],
)
def test_a_calendar_year_has_these_cycles(
    cadence: Cadence, expected: list[tuple[str, str, str]]
) -> None:
    found = [(name, str(first), str(last)) for name, first, last in _of(cadence)]
    assert found == expected


def _of(cadence: Cadence, year: Period = YEAR, decided: Deployment = DEFAULTS) -> list[Period]:
    return list(cycles_of_year(cadence, year, decided))


def test_months_are_named_by_their_year_and_month() -> None:
    months = _of(Cadence.MONTHLY)
    assert [month.name for month in months] == [f"2026-{number:02}" for number in range(1, 13)]


@pytest.mark.parametrize(("year", "last"), [(2024, 29), (2026, 28), (2000, 29), (2100, 28)])
def test_february_ends_as_the_year_has_it(year: int, last: int) -> None:
    february = _of(Cadence.MONTHLY, year_from(year, date(year, 1, 1)))[1]
    assert february.ends_on == date(year, 2, last)


def test_a_year_that_begins_in_april_has_its_quarters_from_there() -> None:
    year = year_from(2026, date(2026, 4, 1))
    assert (year.name, year.ends_on) == ("2026", date(2027, 3, 31))
    assert _of(Cadence.QUARTERLY, year)[3] == Period("2026 Q4", date(2027, 1, 1), date(2027, 3, 31))
    assert _of(Cadence.MONTHLY, year)[-1].name == "2027-03"


def test_a_year_that_begins_within_a_month_is_counted_in_weeks() -> None:
    year = year_from(2026, date(2026, 1, 5))
    quarters = _of(Cadence.QUARTERLY, year)
    assert [days(one.starts_on, one.ends_on) for one in quarters] == [91] * 4
    assert quarters[0] == Period("2026 Q1", date(2026, 1, 5), date(2026, 4, 5))
    assert quarters[-1].ends_on == year.ends_on == date(2027, 1, 3)
    months = _of(Cadence.MONTHLY, year)
    assert (len(months), months[0].name) == (13, "2026-01-05 (4 weeks)")


@pytest.mark.parametrize(
    ("weeks", "number", "length"), [(12, 4, 84), (14, 3, 98), (6, 4, 91), (26, 4, 91)]
)
def test_a_quarter_in_weeks_is_as_long_as_decided_where_that_is_a_quarter(
    weeks: int, number: int, length: int
) -> None:
    decided = Deployment(cycle_length=CycleLength(weeks=weeks))
    quarters = _of(Cadence.QUARTERLY, year_from(2026, date(2026, 1, 5)), decided)
    assert [days(one.starts_on, one.ends_on) for one in quarters] == [length] * number


@pytest.mark.parametrize(
    ("custom_days", "number", "name"),
    [
        (42, 8, "2026-03-02 (6 weeks)"),
        (7, 52, "2026-03-02 (1 week)"),
        (45, 8, "2026-03-02 (45 days)"),
        (364, 1, "2026-03-02 (52 weeks)"),
    ],
)
def test_a_custom_cadence_says_when_it_begins_and_how_long_it_is(
    custom_days: int, number: int, name: str
) -> None:
    decided = Deployment(cadence=Rhythm(company=Cadence.CUSTOM, custom_days=custom_days))
    found = _of(Cadence.CUSTOM, year_from(2026, date(2026, 3, 2)), decided)
    assert (len(found), found[0].name) == (number, name)


def test_a_cycle_longer_than_the_year_is_none_of_its_cycles() -> None:
    decided = Deployment(cadence=Rhythm(company=Cadence.CUSTOM, custom_days=400))
    assert _of(Cadence.CUSTOM, YEAR, decided) == []


@for_all(st.sampled_from(Cadence), A_DAY | A_FIRST, DECIDED)
def test_cycles_follow_one_another_within_the_year(
    cadence: Cadence, starts_on: date, decided: Deployment
) -> None:
    year = year_from(starts_on.year, starts_on)
    cycles = _of(cadence, year, decided)
    if cycles:
        assert cycles[0].starts_on == starts_on
        assert cycles[-1].ends_on <= year.ends_on
    for before, after in pairwise(cycles):
        assert after.starts_on == before.ends_on + _days(1)
    assert len({one.name for one in cycles}) == len(cycles)
    rhythm = decided.cadence.model_copy(update={"team": cadence})
    assert all(rhythm.allows(days(one.starts_on, one.ends_on)) for one in cycles)


@for_all(st.sampled_from([c for c in Cadence if c is not Cadence.CUSTOM]), A_FIRST)
def test_cycles_in_months_fill_the_whole_year(cadence: Cadence, starts_on: date) -> None:
    year = year_from(starts_on.year, starts_on)
    assert _of(cadence, year)[-1].ends_on == year.ends_on
    assert days(year.starts_on, year.ends_on) in (365, 366)


@for_all(st.sampled_from([Cadence.MONTHLY, Cadence.QUARTERLY, Cadence.HALF_YEAR]), A_DAY)
def test_cycles_in_weeks_fill_the_whole_year(cadence: Cadence, day: date) -> None:
    year = year_from(day.year, day.replace(day=2))
    cycles = _of(cadence, year)
    assert cycles[-1].ends_on == year.ends_on
    assert all(days(one.starts_on, one.ends_on) % 7 == 0 for one in cycles)


def test_each_level_has_its_own_cadence() -> None:
    rhythm = Rhythm(company=Cadence.YEAR, team=Cadence.QUARTERLY, individual=Cadence.MONTHLY)
    assert [rhythm_of(rhythm, level) for level in Level] == [
        Cadence.YEAR,
        Cadence.QUARTERLY,
        Cadence.MONTHLY,
    ]


# Windows ----------------------------------------------------------------------------------


def test_the_windows_of_a_quarter_are_counted_from_its_ends() -> None:
    found = windows(date(2026, 1, 1), date(2026, 3, 31), DEFAULTS)
    assert found.drafting_from == date(2025, 12, 18)
    # The last seven days: the 25th to the 31st.
    assert found.scoring_from == date(2026, 3, 25)
    assert found.reflection_announced_on == date(2026, 3, 17)
    assert found.check_in_every_days == 14


def test_windows_reach_over_the_end_of_february_in_a_leap_year() -> None:
    decided = Deployment(cycle_length=CycleLength(planning_days=1, scoring_days=1))
    found = windows(date(2024, 3, 1), date(2024, 5, 31), decided)
    assert found.drafting_from == date(2024, 2, 29)
    assert found.scoring_from == date(2024, 5, 31)


def test_windows_of_the_calendar_s_first_day_stay_within_the_calendar() -> None:
    assert windows(date.min, date(1, 3, 31), DEFAULTS).drafting_from == date.min
    assert check_ins_due(date(9999, 12, 1), date.max, 14)[-1] == date(9999, 12, 29)


LENGTHS = st.builds(
    CycleLength,
    planning_days=st.integers(1, 92),
    scoring_days=st.integers(1, 31),
    reflection_notice_days=st.integers(1, 62),
)


@for_all(A_DAY, st.integers(2, 731), LENGTHS)
def test_windows_never_leave_the_cycle_they_belong_to(
    starts_on: date, length: int, decided: CycleLength
) -> None:
    ends_on = starts_on + _days(length - 1)
    found = windows(starts_on, ends_on, Deployment(cycle_length=decided))
    assert days(found.drafting_from, starts_on) == decided.planning_days + 1
    assert starts_on <= found.scoring_from <= ends_on
    assert starts_on <= found.reflection_announced_on <= ends_on
    assert days(found.scoring_from, ends_on) == min(decided.scoring_days, length)


# Check-ins --------------------------------------------------------------------------------


def test_check_ins_are_due_every_two_weeks_from_the_first_day() -> None:
    due = check_ins_due(date(2026, 1, 1), date(2026, 3, 31), 14)
    assert [str(day) for day in due] == [
        "2026-01-15",
        "2026-01-29",
        "2026-02-12",
        "2026-02-26",
        "2026-03-12",
        "2026-03-26",
    ]


@for_all(A_DAY, st.integers(2, 731), st.integers(1, 92))
def test_check_ins_are_due_evenly_and_within_the_cycle(
    starts_on: date, length: int, every: int
) -> None:
    ends_on = starts_on + _days(length - 1)
    due = check_ins_due(starts_on, ends_on, every)
    assert len(due) == (length - 1) // every
    whole = (starts_on, *due)
    assert all(b - a == _days(every) for a, b in pairwise(whole))
    assert whole[-1] + _days(every) > ends_on >= whole[-1]


# What is early and what is late -----------------------------------------------------------

FIRST, LAST = date(2026, 1, 1), date(2026, 3, 31)
KEPT = windows(FIRST, LAST, DEFAULTS)


def _timing(today: str, **begun: str) -> tuple[list[str], list[str]]:
    days_of = {Step(step): date.fromisoformat(day) for step, day in begun.items()}
    found = timing(FIRST, LAST, KEPT, days_of, date.fromisoformat(today))
    return [*found.early], [*found.late]


def test_a_cycle_that_keeps_its_windows_is_neither_early_nor_late() -> None:
    for drafting, scoring in (("2025-12-18", "2026-03-25"), ("2025-12-31", "2026-03-31")):
        begun = {"drafting": drafting, "execution": "2026-01-01", "scoring": scoring}
        assert _timing("2026-06-01", **begun) == ([], [])


def test_a_step_before_its_window_is_early_and_one_after_it_late() -> None:
    early = {"drafting": "2025-12-17", "execution": "2025-12-31", "scoring": "2026-03-24"}
    assert _timing("2026-06-01", **early) == (["drafting", "execution", "scoring"], [])
    late = {"drafting": "2026-01-01", "execution": "2026-01-02", "scoring": "2026-04-01"}
    assert _timing("2026-06-01", **late) == ([], ["drafting", "execution", "scoring"])


def test_a_step_that_is_still_to_be_taken_is_late_after_its_window() -> None:
    assert _timing("2025-12-01") == ([], [])
    assert _timing("2025-12-31") == ([], [])
    assert _timing("2026-01-01") == ([], ["drafting"])
    assert _timing("2026-01-02", drafting="2025-12-20") == ([], ["execution"])
    begun = {"drafting": "2025-12-20", "execution": "2026-01-01"}
    assert _timing("2026-03-31", **begun) == ([], [])
    assert _timing("2026-04-01", **begun) == ([], ["scoring"])
