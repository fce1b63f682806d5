"""The figures of the alignment report, against a straightforward fold over random programmes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from random import Random
from typing import Any, cast
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from app.application.ledgers import Reader
from app.domain import alignment, cycle, dependency, key_result, objective, team
from app.domain.messages import Event
from app.domain.values import Level, Owner, OwnerKind, Target
from app.events.codec import encode
from app.events.envelope import Meta, Recorded
from app.events.texts import Texts
from app.projections.registry import project
from app.projections.rows import MemoryRows
from app.queries.alignment_report import Counts, Found, count, matter_of
from tests.domain.builders import KEY_TERMS, TERMS, uid

ORG, HERE, ABOVE = uid(1), uid(2), uid(3)
TEAMS = [uid(n) for n in range(10, 14)]
COMPANY = TEAMS[0]
GOALS = [uid(n) for n in range(100, 112)]
NOW = datetime(2026, 2, 1, 9, tzinfo=UTC)


def _parts(goal: UUID) -> list[UUID]:
    return [uid(goal.int * 10), uid(goal.int * 10 + 1)]


def _cycle_of(goal: UUID) -> UUID:
    """The last three goals are the year's, above; the others are this quarter's."""
    return ABOVE if goal in GOALS[-3:] else HERE


def _planned() -> list[Event]:
    return [
        cycle.CyclePlanned(
            cycle_id=id, name="A cycle", starts_on=date(2026, 1, 1), ends_on=date(2026, 3, 31)
        )
        for id in (HERE, ABOVE)
    ]


def _random_programme(random: Random) -> list[Event]:
    """Everything that matters to the report, in any mixture, one event after the other."""
    events = _planned()
    for id in TEAMS:
        level = Level.COMPANY if id == COMPANY else Level.TEAM
        events.append(team.TeamFormed(team_id=id, name="A team", level=level))
    for goal in GOALS:
        ids: dict[str, Any] = {"objective_id": goal, "cycle_id": _cycle_of(goal)}
        owner = Owner(kind=OwnerKind.TEAM, id=random.choice(TEAMS))
        events.append(objective.ObjectiveDrafted(**ids, owner=owner, terms=TERMS))
        for part in _parts(goal):
            drafted = key_result.KeyResultDrafted(**ids, key_result_id=part, terms=KEY_TERMS)
            events.append(drafted)
    for number in range(random.randrange(25)):
        below, above = random.sample(GOALS, 2)
        kind, id = random.choice(
            [("objective", above), *(("key_result", p) for p in _parts(above))]
        )
        ids = {"alignment_id": uid(2000 + number), "cycle_id": _cycle_of(below)}
        events.append(
            alignment.AlignmentAgreed(
                **ids,
                objective_id=below,
                target=Target(kind=cast(Any, kind), id=id),
                target_objective_id=above,
                rationale="It helps.",
            )
        )
        if random.random() < 0.3:
            events.append(alignment.AlignmentWithdrawn(**ids, reason="No."))
    for number in range(random.randrange(15)):
        events += _random_dependency(random, uid(3000 + number))
    for goal in random.sample(GOALS, 3):
        ids = {"objective_id": goal, "cycle_id": _cycle_of(goal)}
        (part, _) = _parts(goal)
        events.append(key_result.KeyResultRemoved(**ids, key_result_id=part))
    for goal in random.sample(GOALS, random.randrange(4)):
        ids = {"objective_id": goal, "cycle_id": _cycle_of(goal)}
        gone = random.choice(list(objective.Outcome))
        events.append(objective.ObjectiveClosed(**ids, outcome=gone))
    closed = random.choice([(), (ABOVE,), (ABOVE, HERE)])
    events += [cycle.CycleClosed(cycle_id=id) for id in closed]
    return events


def _random_dependency(random: Random, id: UUID) -> list[Event]:
    goal = random.choice(GOALS)
    ids: dict[str, Any] = {"dependency_id": id, "cycle_id": _cycle_of(goal)}
    said = {
        "accepted": dependency.DependencyAccepted(**ids, person_id=uid(9)),
        "declined": dependency.DependencyDeclined(**ids, person_id=uid(9), reason="No."),
        "delivered": dependency.DependencyDelivered(**ids),
        "withdrawn": dependency.DependencyWithdrawn(**ids, reason="No."),
    }
    way = random.choice(
        [(), ("accepted",), ("declined",), ("accepted", "delivered"), ("withdrawn",)]
    )
    return [
        dependency.DependencyDeclared(
            **ids,
            objective_id=goal,
            on=dependency.OtherSide(kind="team", id=TEAMS[1]),
            on_team_id=TEAMS[1],
            needed="Prices.",
            needed_by=date(2026, random.choice([1, 2, 3]), 1),
            risk_owner_id=random.choice([None, uid(9)]),
        ),
        *(said[word] for word in way),
    ]


def _rows(events: Sequence[Event]) -> MemoryRows:
    rows, versions = MemoryRows(), dict[Any, int]()
    for position, event in enumerate(events, 1):
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
            occurred_at=NOW,
            recorded_at=NOW,
            told=event,
        )
        rows.apply(project(recorded))
    return rows


async def _counts(events: Sequence[Event]) -> Counts:
    rows = _rows(events)
    nothing: Any = None
    reader = Reader(nothing, Texts(ORG, {}), rows, nothing, len(events), NOW, is_past=True)
    return count(await matter_of(reader, HERE))


class _Told:
    """What the events say, told one goal at a time and as plainly as can be."""

    def __init__(self, events: Sequence[Event]) -> None:
        def those(kind: type[Any]) -> list[Any]:
            return [event for event in events if isinstance(event, kind)]

        self.owner = {e.objective_id: e.owner.id for e in those(objective.ObjectiveDrafted)}
        outcomes = those(objective.ObjectiveClosed)
        self.abandoned = {
            e.objective_id for e in outcomes if e.outcome is objective.Outcome.ABANDONED
        }
        self.removed = {e.key_result_id for e in those(key_result.KeyResultRemoved)}
        self.agreed = those(alignment.AlignmentAgreed)
        self.withdrawn = {e.alignment_id for e in those(alignment.AlignmentWithdrawn)}
        self.closed = {e.cycle_id for e in those(cycle.CycleClosed)}
        self.goals = [g for g in GOALS if _cycle_of(g) == HERE and g not in self.abandoned]
        self.needs = {e.dependency_id: e for e in those(dependency.DependencyDeclared)}
        self.last = {e.dependency_id: type(e) for e in those(dependency.DependencyEvent)}

    def links(self, goal: UUID) -> list[alignment.AlignmentAgreed]:
        return [e for e in self.agreed if e.objective_id == goal]

    def parents(self, goal: UUID) -> set[UUID]:
        return {
            e.target_objective_id for e in self.links(goal) if e.alignment_id not in self.withdrawn
        }

    def is_lost(self, link: alignment.AlignmentAgreed) -> bool:
        target = link.target_objective_id
        if link.alignment_id in self.withdrawn or target in self.abandoned:
            return True
        if link.target.id in self.removed:
            return True
        return HERE not in self.closed and _cycle_of(target) in self.closed

    def contributes(self, target: UUID, *, directly: bool) -> bool:
        for link in self.agreed:
            if link.objective_id in self.abandoned or link.alignment_id in self.withdrawn:
                continue
            if target in (link.target.id, None if directly else link.target_objective_id):
                return True
        return False

    def waits(self) -> list[tuple[dependency.DependencyDeclared, type[Event]]]:
        return [
            (need, self.last[id])
            for id, need in self.needs.items()
            if need.objective_id in self.goals
            and self.last[id] is not dependency.DependencyWithdrawn
        ]


def _same(found: Found[Any], key: str, expected: list[UUID], among: int) -> None:
    assert [getattr(row, key) for row in found.items] == expected
    assert found.among == among


@pytest.mark.parametrize("seed", range(150))
async def test_every_figure_is_what_the_events_say(seed: int) -> None:
    events = _random_programme(Random(seed))  # noqa: S311 (of no secret)
    counts, told = await _counts(events), _Told(events)

    top = [g for g in told.goals if told.owner[g] == COMPANY]
    below = [g for g in told.goals if told.owner[g] != COMPANY]
    by = "objective_id"
    _same(counts.aligned, by, [g for g in below if told.parents(g)], len(below))
    _same(counts.unaligned, by, [g for g in below if not told.parents(g)], len(below))
    ever = [g for g in told.goals if told.links(g)]
    orphaned = [g for g in ever if all(map(told.is_lost, told.links(g)))]
    _same(counts.orphaned, by, orphaned, len(ever))
    stated = [g for g in told.goals if told.parents(g)]
    several = [g for g in stated if len(told.parents(g)) >= 2]
    _same(counts.several_parents, by, several, len(stated))

    alone = [g for g in top if not told.contributes(g, directly=False)]
    _same(counts.objectives_without_contributors, by, alone, len(top))
    parts = [p for g in top for p in _parts(g) if p not in told.removed]
    bare = [p for p in parts if not told.contributes(p, directly=True)]
    _same(counts.key_results_without_contributors, "key_result_id", bare, len(parts))

    waits = told.waits()
    late = [(n, last) for n, last in waits if last is not dependency.DependencyDelivered]
    for found, expected in (
        (counts.open, [n for n, last in waits if last is dependency.DependencyDeclared]),
        (counts.declined, [n for n, last in waits if last is dependency.DependencyDeclined]),
        (counts.overdue, [n for n, _ in late if n.needed_by < NOW.date()]),
        (counts.without_risk_owner, [n for n, _ in late if n.risk_owner_id is None]),
    ):
        _same(found, "dependency_id", [n.dependency_id for n in expected], len(waits))
