"""Readiness: four conditions, their figures, and what is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from app.domain.deployment import QUESTIONS
from app.domain.readiness import (
    ActiveCoach,
    CoachedTeam,
    Condition,
    LeadershipWorkshop,
    Preparation,
    assess,
)
from tests.domain.builders import NOW, PERSON, TEAM, uid

HELD = LeadershipWorkshop(uid(55), completed=True, attended=3, needed=2)
COACH = ActiveCoach(PERSON, date(2026, 12, 31), frozenset({TEAM}))
GROWTH, SEARCH = CoachedTeam(TEAM, "Growth"), CoachedTeam(uid(8), "Search")
READY = Preparation(
    answered=frozenset(QUESTIONS), workshops=(HELD,), coaches=(COACH,), teams=(GROWTH,)
)


def _condition(name: str, **facts: Any) -> Condition:
    found = assess(replace(READY, **facts), NOW)
    (condition,) = (one for one in found.conditions if one.name == name)
    others = [one for one in found.conditions if one.name not in (name, "coverage")]
    assert all(one.met for one in others)
    assert condition.met == (condition.have >= condition.need)
    assert condition.met == (not condition.missing)
    return condition


def test_an_organisation_is_ready_when_all_four_conditions_are_met() -> None:
    found = assess(READY, NOW)
    assert found.ready
    assert found.missing == ()
    assert {one.name: (one.have, one.need) for one in found.conditions} == {
        "deployment": (10, 10),
        "leadership": (3, 2),
        "coaches": (1, 1),
        "coverage": (1, 1),
    }


def test_a_new_organisation_lacks_all_but_the_coverage_of_teams_that_it_has_not() -> None:
    found = assess(Preparation(), NOW)
    assert not found.ready
    assert [one.name for one in found.conditions if one.met] == ["coverage"]
    assert [one.condition for one in found.missing] == ["deployment", "leadership", "coaches"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_must_be_answered(question: str) -> None:
    condition = _condition("deployment", answered=frozenset(QUESTIONS) - {question})
    assert (condition.have, condition.need) == (9, 10)
    (missing,) = condition.missing
    assert (missing.kind, missing.ids) == ("question", (question,))
    assert question in missing.message


# Leadership -------------------------------------------------------------------------------


def test_without_a_leadership_workshop_one_is_to_be_scheduled() -> None:
    condition = _condition("leadership", workshops=())
    assert (condition.have, condition.need) == (0, 1)
    assert condition.missing[0].ids == ()
    assert "No leadership workshop was scheduled" in condition.missing[0].message


def test_a_workshop_below_its_quorum_does_not_count() -> None:
    condition = _condition("leadership", workshops=(replace(HELD, attended=1),))
    assert (condition.have, condition.need) == (1, 2)
    assert condition.missing[0].ids == (str(uid(55)),)
    assert "completed with 1 of the 2" in condition.missing[0].message


@pytest.mark.parametrize("attended", [0, 1, 2, 3])
def test_a_workshop_that_is_not_completed_does_not_count_whoever_came(attended: int) -> None:
    waiting = replace(HELD, completed=False, attended=attended)
    condition = _condition("leadership", workshops=(waiting,))
    assert (condition.have, condition.need) == (min(attended, 1), 2)
    assert "not completed" in condition.missing[0].message


def test_the_workshop_that_came_nearest_is_the_one_that_is_judged() -> None:
    poor = LeadershipWorkshop(uid(56), completed=True, attended=1, needed=9)
    waiting = LeadershipWorkshop(uid(57), completed=False, attended=9, needed=9)
    assert _condition("leadership", workshops=(poor, HELD, waiting)).met
    nearer = replace(HELD, attended=1)
    condition = _condition("leadership", workshops=(poor, nearer, waiting))
    assert condition.missing[0].ids == (str(uid(55)),)


# Coaches ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coaches", "saying"),
    [
        ((), "No coach is designated"),
        ((replace(COACH, expires_on=None),), "0 certificate(s) have expired, 1 were never given"),
        (
            (
                replace(COACH, expires_on=date(2026, 1, 31)),
                ActiveCoach(uid(9), None, frozenset()),
            ),
            "1 certificate(s) have expired, 1 were never given",
        ),
    ],
)
def test_without_a_certificate_that_holds_there_is_no_coach(
    coaches: tuple[ActiveCoach, ...], saying: str
) -> None:
    condition = _condition("coaches", coaches=coaches)
    assert (condition.have, condition.need) == (0, 1)
    (missing,) = condition.missing
    assert saying in missing.message
    assert missing.ids == tuple(str(one.person_id) for one in coaches)


def test_a_certificate_holds_to_the_end_of_its_last_day() -> None:
    ends_today = replace(READY, coaches=(replace(COACH, expires_on=NOW.date()),))
    assert assess(ends_today, NOW.replace(hour=23, minute=59)).ready
    tomorrow = assess(ends_today, NOW + timedelta(days=1))
    assert [one.condition for one in tomorrow.missing] == ["coaches", "coverage"]


# Coverage ---------------------------------------------------------------------------------


def test_a_team_without_a_coach_is_named() -> None:
    condition = _condition("coverage", teams=(GROWTH, SEARCH))
    assert (condition.have, condition.need) == (1, 2)
    (missing,) = condition.missing
    assert (missing.kind, missing.ids) == ("team", (str(SEARCH.team_id),))
    assert "1 team(s) have no certified coach: Search" in missing.message


def test_only_a_certified_coach_covers_a_team() -> None:
    other = ActiveCoach(uid(9), None, frozenset({SEARCH.team_id}))
    condition = _condition("coverage", teams=(GROWTH, SEARCH), coaches=(COACH, other))
    assert condition.missing[0].ids == (str(SEARCH.team_id),)


def test_what_a_coach_covers_beside_the_active_teams_does_not_matter() -> None:
    condition = _condition("coverage", teams=(SEARCH,))
    assert (condition.have, condition.need) == (0, 1)
    assert _condition("coverage", teams=()).met
