"""The figures of programme health, against a straightforward fold over random programmes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from app.application.ledgers import Reader
from app.domain import alignment, coach, cycle, deployment, key_result, objective, team
from app.domain import key_result_commands as commands
from app.domain.check_in import CheckInTerms
from app.domain.check_in_commands import RecordCheckIn, RetractCheckIn
from app.domain.cycle import Cycle, Phase
from app.domain.key_result import KeyResultTerms
from app.domain.measures import Metric, Milestone, MilestoneLevels, Rung, Threshold
from app.domain.messages import Event, Stream
from app.domain.objective import Objective, Outcome, Status
from app.domain.values import Health, Level, Origin, Owner, OwnerKind, Target
from app.events.codec import encode
from app.events.envelope import Meta, Recorded
from app.projections.registry import project
from app.projections.rows import MemoryRows
from app.queries import organization_health, programme_health
from app.queries.organization_health import Asked
from tests.domain.builders import ORG, TERMS, uid

TEAMS = [uid(n) for n in range(10, 15)]
COMPANIES = TEAMS[:2]
COACH = uid(20)
DATES = [
    (date(2026, 1, 1), date(2026, 3, 31)),
    (date(2026, 4, 1), date(2026, 6, 30)),
    (date(2026, 7, 1), date(2026, 9, 30)),
]
CYCLES = [uid(n) for n in (30, 31, 32)]
LONG_AGO, NOW = datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 8, 20, 9, tzinfo=UTC)
SYSTEMS: list[deployment.AnyScoring] = [
    deployment.MeasureWhatMatters(),
    deployment.StretchTargetCommit(),
    deployment.RadicalFocus(),
]
METRIC = Metric(unit="x", baseline=Decimal(100), target=Decimal(150))
LEVELLED = METRIC.model_copy(update={"commit": Decimal(120), "stretch": Decimal(200)})
UPTIME = Threshold(unit="%", bound="at_least", limit=Decimal(99))
LADDER = Milestone(levels=MilestoneLevels(commit="A", target="B", stretch="C"))
MEASURES = [METRIC, LEVELLED, UPTIME, LADDER, Milestone()]


@dataclass
class _Programme:
    """What happens, and when it is recorded."""

    random: Random
    told: list[tuple[datetime, Event]] = field(default_factory=list)

    def at(self, moment: datetime, *events: Event) -> None:
        self.told += [(moment, event) for event in events]

    def perhaps(self, chance: float) -> bool:
        return self.random.random() < chance

    def write(self) -> None:
        for id in TEAMS:
            level = Level.COMPANY if id in COMPANIES else Level.TEAM
            self.at(LONG_AGO, team.TeamFormed(team_id=id, name="A team", level=level))
        self.at(LONG_AGO, coach.CoachDesignated(person_id=COACH))
        until = self.random.choice([NOW.date(), NOW.date() - timedelta(days=1)])
        certified = {"workshop_id": uid(21), "certified_on": LONG_AGO.date(), "expires_on": until}
        self.at(LONG_AGO, coach.CoachCertified(person_id=COACH, **certified))
        covered = tuple(self.random.sample(TEAMS, 2))
        self.at(LONG_AGO, coach.TeamsCovered(person_id=COACH, teams=covered))
        for when in (LONG_AGO, datetime(2026, 5, 1, tzinfo=UTC)):
            limits = deployment.Limits(max_objectives=self.random.choice([1, 2, 3]))
            rhythm = deployment.Rhythm(check_in_every_days=self.random.choice([7, 14]))
            for decision in (limits, rhythm):
                made = {"organization_id": ORG, "rationale": "Why not."}
                self.at(when, deployment.DecisionMade(decision=decision, **made))
        for number in range(len(CYCLES)):
            self._cycle(number)

    def _cycle(self, number: int) -> None:
        id, (starts_on, ends_on) = CYCLES[number], DATES[number]
        begins = datetime.combine(starts_on, time(8), UTC)
        planned = cycle.CyclePlanned(cycle_id=id, name="Q", starts_on=starts_on, ends_on=ends_on)
        self.at(LONG_AGO, planned, cycle.CycleDraftingBegun(cycle_id=id))
        if self.perhaps(0.1):
            return
        rules = self.random.choice(SYSTEMS)
        self.at(begins, cycle.CycleOpened(cycle_id=id, opened_at=begins, scoring=rules))
        active = Cycle(id, "Q", starts_on, ends_on, Phase.ACTIVE, begins, rules)
        states = [
            state
            for place in range(6)
            for state in self._objective(uid(number * 100 + place + 1000), active)
        ]
        over = datetime.combine(ends_on, time(9), UTC) + timedelta(days=1)
        if over > NOW or self.perhaps(0.2):
            return
        self.at(over, cycle.CycleScoringBegun(cycle_id=id))
        for state in states:
            if self.perhaps(0.8):
                full = Decimal(1) if self.perhaps(0.3) else None
                scored = commands.score(state, rules, active.ended_at, full, "So.", "Why not.")
                self.at(over, scored)
        if self.perhaps(0.2):
            return
        self.at(over, cycle.CycleReflectionBegun(cycle_id=id))
        for place, of in enumerate(self.random.sample(TEAMS, 2)):
            said = {"reflection_id": uid(number * 10 + place + 9000), "worked": ("All.",)}
            self.at(over, cycle.ReflectionRecorded(cycle_id=id, team_id=of, **said))
        if self.perhaps(0.5):
            self.at(over, cycle.CycleClosed(cycle_id=id))

    def _objective(self, id: UUID, active: Cycle) -> Iterator[key_result.KeyResult]:
        ids: dict[str, Any] = {"objective_id": id, "cycle_id": active.cycle_id}
        owner = Owner(kind=OwnerKind.TEAM, id=self.random.choice(TEAMS))
        terms = TERMS.model_copy(update={"origin": self.random.choice(list(Origin))})
        self.at(LONG_AGO, objective.ObjectiveDrafted(**ids, owner=owner, terms=terms))
        parts = [uid(id.int * 10 + place) for place in range(2)]
        measures = {part: self.random.choice(MEASURES) for part in parts}
        for part, measure in measures.items():
            drafted = KeyResultTerms(title="A part", measure=measure)
            event = key_result.KeyResultDrafted(key_result_id=part, **ids, terms=drafted)
            self.at(LONG_AGO, event)
        if self.perhaps(0.5):
            link = {"alignment_id": uid(id.int + 50_000), "rationale": "It helps."}
            target = {"target": Target(kind="objective", id=uid(7)), "target_objective_id": uid(7)}
            self.at(LONG_AGO, alignment.AlignmentAgreed(**link, **ids, **target))
            if self.perhaps(0.3):
                gone = {"alignment_id": link["alignment_id"], "cycle_id": active.cycle_id}
                self.at(LONG_AGO, alignment.AlignmentWithdrawn(**gone, reason="No."))
        if self.perhaps(0.25):
            return
        committed_at = active.began_at + timedelta(days=self.random.randrange(20), hours=8)
        self.at(committed_at, objective.ObjectiveCommitted(**ids))
        whole = Objective(id, active.cycle_id, owner, terms, Status.COMMITTED)
        for part, measure in measures.items():
            yield self._key_result(part, measure, whole, active, committed_at)
        if self.perhaps(0.1):
            last = min(NOW, active.ended_at)
            self.at(last, objective.ObjectiveClosed(**ids, outcome=Outcome.ABANDONED, reason="x"))

    def _key_result(
        self, id: UUID, measure: Any, whole: Objective, active: Cycle, begins: datetime
    ) -> key_result.KeyResult:
        state = key_result.KeyResult(
            id, whole.objective_id, active.cycle_id, KeyResultTerms(title="A part", measure=measure)
        )
        last = min(NOW, active.ended_at)
        days = (last - begins).days
        moments = sorted(self.random.randrange(days) for _ in range(self.random.randrange(7)))
        on: dict[str, Any] = {"key_result_id": id, "objective": whole, "cycle": active}
        for number, day in enumerate(moments):
            at = begins + timedelta(days=day, minutes=number)
            back = timedelta(days=self.random.choice([0, 0, 0, min(day, 9)]))
            health = self.random.choice([Health.ON_TRACK, Health.ON_TRACK, Health.AT_RISK])
            said = CheckInTerms(
                value=self._reading(measure),
                confidence=self.random.choice([None, Decimal("0.3"), Decimal("0.8")]),
                health=health,
            )
            told: Any = RecordCheckIn(
                at=at,
                check_in_id=uid(id.int * 10 + number),
                terms=said,
                occurred_at=at - back,
                deployment=deployment.Deployment(),
                existing=None,
                **on,
            )
            wishes = [told]
            if self.perhaps(0.1):
                gone = {"check_in_id": told.check_in_id, "reason": "x"}
                wishes.append(RetractCheckIn(at=at, **gone, **on))
            if self.perhaps(0.1) and measure is LEVELLED:
                easier = measure.model_copy(update={"target": Decimal(140)})
                terms = state.terms.model_copy(update={"measure": easier})
                amend: dict[str, Any] = {"terms": terms, "reason": "x", "owner_level": None}
                wishes.append(commands.AmendKeyResult(at=at, **amend, **on))
            for wish in wishes:
                for event in commands.decider.decide(state, wish):
                    assert isinstance(event, key_result.KeyResultEvent)
                    self.at(at, event)
                    state = key_result.evolve(state, event)  # type: ignore[arg-type]
        return state

    def _reading(self, measure: Any) -> Any:
        if isinstance(measure, Milestone):
            return self.random.choice(list(Rung) if measure.levels else [True, False])
        if isinstance(measure, Threshold):
            return self.random.choice([Decimal(98), Decimal(99)])
        return self.random.choice([None, *map(Decimal, (110, 130, 145, 150, 210))])


def _rows(told: list[tuple[datetime, Event]]) -> MemoryRows:
    rows, versions = MemoryRows(), dict[Stream, int]()
    for position, (moment, event) in enumerate(told, 1):
        versions[event.stream] = versions.get(event.stream, 0) + 1
        recorded = Recorded(
            org_id=ORG,
            position=position,
            stream=event.stream,
            version=versions[event.stream],
            event_id=uuid7(),
            type=event.type_name,
            schema_version=event.schema_version,
            cycle_id=getattr(event, "cycle_id", None),
            data=encode(event),
            meta=Meta("person/a", "test", uuid7()),
            occurred_at=moment,
            recorded_at=moment,
            told=event,
        )
        rows.apply(project(recorded))
    return rows


# The plain fold ---------------------------------------------------------------------------


class _Told:
    """What the events say, found one thing at a time and as plainly as can be."""

    def __init__(self, told: list[tuple[datetime, Event]]) -> None:
        self.told = told
        self.opened = {e.cycle_id: e for _, e in self.those(cycle.CycleOpened)}
        self.scoring = {e.cycle_id: at for at, e in self.those(cycle.CycleScoringBegun)}
        self.committed = {e.objective_id: at for at, e in self.those(objective.ObjectiveCommitted)}
        self.drafted = {e.objective_id: e for _, e in self.those(objective.ObjectiveDrafted)}
        self.abandoned = {e.objective_id for _, e in self.those(objective.ObjectiveClosed)}
        self.scored = {e.key_result_id: e for _, e in self.those(key_result.KeyResultScored)}
        self.retracted = {e.check_in_id for _, e in self.those(key_result.CheckInRetracted)}

    def those(self, kind: type[Any]) -> list[tuple[datetime, Any]]:
        return [(at, event) for at, event in self.told if isinstance(event, kind)]

    def decided(self, id: UUID, question: str) -> Any:
        until = self.scoring.get(id, NOW)
        answers = [
            e.decision
            for at, e in self.those(deployment.DecisionMade)
            if at <= until and e.decision.question == question
        ]
        return answers[-1]

    def mine(self, id: UUID) -> list[UUID]:
        return [o for o, e in self.drafted.items() if e.cycle_id == id]

    def owner(self, goal: UUID) -> UUID:
        owner: UUID = self.drafted[goal].owner.id
        return owner

    def parts(self, goals: list[UUID]) -> list[Any]:
        drafted = self.those(key_result.KeyResultDrafted)
        return [e for _, e in drafted if e.objective_id in goals]

    def said(self, part: UUID) -> list[Any]:
        """The check-ins that count, by what they speak of; of the same moment, as they came."""
        recorded = [
            e
            for _, e in self.those(key_result.CheckInRecorded)
            if e.key_result_id == part and e.check_in_id not in self.retracted
        ]
        return sorted(recorded, key=lambda e: e.occurred_at)

    def measures(self, part: UUID) -> list[Any]:
        """The measure as it was drafted, and as it was amended."""
        drafted = [e for _, e in self.those(key_result.KeyResultDrafted) if e.key_result_id == part]
        changed = [e for _, e in self.those(key_result.KeyResultAmended) if e.key_result_id == part]
        return [e.terms.measure for e in (*drafted, *changed)]

    def modes(self, id: UUID) -> dict[str, tuple[list[UUID], int]]:
        goals, opened = self.mine(id), self.opened[id]
        meant = [goal for goal in goals if goal in self.committed]
        below = [goal for goal in meant if self.owner(goal) not in COMPANIES]
        links = [e for _, e in self.those(alignment.AlignmentAgreed)]
        gone = {e.alignment_id for _, e in self.those(alignment.AlignmentWithdrawn)}
        held = [self.owner(goal) for goal in goals if goal not in self.abandoned]
        most = self.decided(id, "limits").max_objectives
        ends = datetime.combine(DATES[CYCLES.index(id)][1], time.max, UTC)
        every = timedelta(days=2 * self.decided(id, "cadence").check_in_every_days)
        silent = []
        for part in self.parts(meant):
            heard = [e.occurred_at for e in self.said(part.key_result_id)]
            since = max(heard or [opened.opened_at, self.committed[part.objective_id]])
            if min(NOW, ends) - since > every:
                silent.append(part.key_result_id)
        looking = [e.cycle_id for _, e in self.those(cycle.CycleReflectionBegun)]
        owners = {self.owner(goal) for goal in meant if id in looking}
        reflected = {e.team_id for _, e in self.those(cycle.ReflectionRecorded) if e.cycle_id == id}
        scores = {p.key_result_id: self.scored.get(p.key_result_id) for p in self.parts(goals)}
        full = [part for part, e in scores.items() if e is not None and e.score == 1]
        leads = {self.owner(goal) for goal in meant}
        trends = {
            part.key_result_id: trend
            for part in self.parts(goals)
            if (trend := self.trend(part.key_result_id, id))
            and self.last(part, "health") == "on_track"
        }
        return {
            "set_and_forget": (silent, len(self.parts(meant))),
            "too_many": ([o for o in dict.fromkeys(held) if held.count(o) > most], len(set(held))),
            "unaligned": (
                [
                    goal
                    for goal in below
                    if not [
                        k for k in links if k.objective_id == goal and k.alignment_id not in gone
                    ]
                ],
                len(below),
            ),
            "top_down": (
                [goal for goal in below if self.drafted[goal].terms.origin == "top_down"],
                len(below),
            ),
            "no_reflection": (sorted(owners - reflected), len(owners)),
            "no_leadership_okrs": ([c for c in COMPANIES if c not in leads], len(COMPANIES)),
            "always_full": (full, sum(e is not None for e in scores.values())),
            "said_on_track": ([p for p, trend in trends.items() if trend == "off"], len(trends)),
        }

    def last(self, part: Any, thing: str) -> Any:
        said = [getattr(e.terms, thing) for e in self.said(part.key_result_id)]
        stated = [one for one in said if one is not None]
        return stated[-1] if stated else None

    def trend(self, part: UUID, id: UUID) -> str | None:
        """By the average pace of a metric; a threshold as it was held; a milestone when done."""
        told = [
            (e.occurred_at, e.terms.value) for e in self.said(part) if e.terms.value is not None
        ]
        if id in self.scoring or not told:
            return None
        measure, rules = self.measures(part)[-1], self.opened[id].scoring
        at, value = told[-1]
        if isinstance(measure, Milestone):
            return "on" if value in (True, Rung.STRETCH) else None
        if isinstance(measure, Threshold):
            spans = [(b - a).total_seconds() for (a, _), (b, _) in pairwise(told)]
            if sum(spans):
                good = sum(s for s, (_, v) in zip(spans, told, strict=False) if v >= 99)
                forecast = round(Fraction(good) / Fraction(sum(spans)), 4)
            else:
                forecast = round(Fraction(sum(v >= 99 for _, v in told), len(told)), 4)
        else:
            first, last = DATES[CYCLES.index(id)]
            began = datetime.combine(first, time.min, UTC)
            elapsed = (at - began) / (datetime.combine(last, time.max, UTC) - began)
            way = Fraction(measure.target - measure.baseline)
            reached = min(max(Fraction(value - measure.baseline) / way, Fraction(0)), Fraction(1))
            forecast = min(round(round(reached, 4) / Fraction(str(elapsed)), 4), Fraction(1))
        levelled = isinstance(measure, Metric) and measure.stretch is not None
        at_target = rules.system == "radical_focus" or (
            rules.system == "stretch_target_commit" and levelled
        )
        return "on" if forecast >= (1 if at_target else Fraction(7, 10)) else "off"

    def forecasts(self, id: UUID) -> list[tuple[Fraction, bool]]:
        rules, found = self.opened[id].scoring, []
        for part in self.parts(self.mine(id)):
            confidence = self.last(part, "confidence")
            if confidence is None and rules.system == "radical_focus":
                confidence = Decimal("0.5")
            if part.key_result_id in self.scored and confidence is not None:
                is_good = self.scored[part.key_result_id].score >= Decimal("0.7")
                found.append((Fraction(confidence), is_good))
        return found

    def claims(self, id: UUID) -> list[tuple[str, Fraction, bool]]:
        rules, found = self.opened[id].scoring, []
        for part in self.parts(self.mine(id)):
            scored = self.scored.get(part.key_result_id)
            if scored is None:
                continue
            if rules.system == "radical_focus":
                was = scored.computed if scored.as_committed is None else scored.as_committed
                found.append(("target", Fraction(1, 2), was == 1))
            measure = self.measures(part.key_result_id)[0]
            if rules.system != "stretch_target_commit" or measure not in (LEVELLED, LADDER):
                continue
            value = self.last(part, "value")
            for level, claimed in (("commit", 9), ("target", 5), ("stretch", 1)):
                if value is None:
                    reached = False
                elif measure is LADDER:
                    reached = list(Rung).index(value) >= list(Rung).index(Rung(level))
                else:
                    reached = value >= {"commit": 120, "target": 150, "stretch": 200}[level]
                found.append((level, Fraction(claimed, 10), reached))
        return found


def _brier(forecasts: list[tuple[Fraction, bool]]) -> Decimal | None:
    if not forecasts:
        return None
    errors = [(probability - int(met)) ** 2 for probability, met in forecasts]
    mean = round(sum(errors, Fraction(0)) / len(errors), 4)
    return Decimal(mean.numerator) / mean.denominator


def _part(count: int, of: int) -> Decimal | None:
    return None if not of else round(Decimal(count) / of, 4)


@pytest.mark.parametrize("seed", range(60))
async def test_every_figure_is_what_the_events_say(seed: int) -> None:
    programme = _Programme(Random(seed))  # noqa: S311 (of no secret)
    programme.write()
    told = sorted(programme.told, key=lambda one: one[0])
    nothing: Any = None
    rows = _rows(told)
    reader = Reader(nothing, nothing, rows, nothing, len(told), NOW, is_past=True)
    plain = _Told(told)
    opened = [id for id in CYCLES if id in plain.opened]

    for id in opened:
        report = await programme_health.health(reader, id)
        found = {one.id: (one.items, one.denominator) for one in report.failure_modes}
        del found["no_coach"]
        assert found == plain.modes(id)
        assert report.calibration.brier == _brier(plain.forecasts(id))
        assert report.calibration.forecasts == len(plain.forecasts(id))

    together = await organization_health.health(reader, Asked())
    assert [one.cycle_id for one in together.cycles] == opened
    by_id = {one.id: one for one in together.failure_modes}
    for name in plain.modes(opened[0]) if opened else ():
        counts = [plain.modes(id)[name] for id in opened]
        behind = [(id, item) for id in reversed(opened) for item in plain.modes(id)[name][0]]
        assert [(one.cycle_id, one.id) for one in by_id[name].items] == behind
        assert by_id[name].denominator == sum(of for _, of in counts)
        assert by_id[name].share == _part(len(behind), by_id[name].denominator)
        trend = [one.failure_modes[name].share for one in together.cycles]
        assert trend == [_part(len(items), of) for items, of in counts]
    (covered,) = [set(e.teams) for _, e in plain.those(coach.TeamsCovered)]
    (certified,) = [e for _, e in plain.those(coach.CoachCertified)]
    holds = covered if certified.expires_on >= NOW.date() else set()
    alone = [id for id in TEAMS if id not in COMPANIES and id not in holds]
    assert [one.id for one in by_id["no_coach"].items] == alone

    forecasts = [one for id in opened for one in plain.forecasts(id)]
    assert together.calibration.brier == _brier(forecasts)
    claims = [one for id in opened for one in plain.claims(id)]
    assert together.claims.brier == _brier([(claimed, met) for _, claimed, met in claims])
    assert {(one.level, one.reached, one.claims) for one in together.claims.levels} == {
        (level, sum(met for name, _, met in claims if name == level), len(of))
        for level in ("commit", "target", "stretch")
        if (of := [name for name, _, _ in claims if name == level])
    }
