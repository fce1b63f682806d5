"""What holds for all events and commands, and for the domain as a whole."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from app.domain.catalog import DECIDERS, EVENTS, STREAMS
from app.domain.messages import Command

DOMAIN = Path(__file__).parents[2] / "app" / "domain"

# Stored for ever: a name that changes here would cut the ledger off from its past.
TYPE_NAMES = {
    "alignment.agreed",
    "alignment.withdrawn",
    "api_key.issued",
    "api_key.revoked",
    "blocker.handed_over",
    "blocker.raised",
    "blocker.resolved",
    "check_in.corrected",
    "check_in.recorded",
    "check_in.retracted",
    "coach.certified",
    "coach.designated",
    "coach.relieved",
    "coach.teams_covered",
    "cycle.cancelled",
    "cycle.closed",
    "cycle.continued",
    "cycle.drafting_begun",
    "cycle.opened",
    "cycle.planned",
    "cycle.reflection_begun",
    "cycle.renamed",
    "cycle.rescheduled",
    "cycle.scoring_begun",
    "decision.made",
    "dependency.accepted",
    "dependency.declared",
    "dependency.declined",
    "dependency.delivered",
    "dependency.passed_on",
    "dependency.withdrawn",
    "key_result.amended",
    "key_result.drafted",
    "key_result.removed",
    "key_result.reset",
    "key_result.scored",
    "key_result.succeeded",
    "kpi.focused",
    "kpi.left_range",
    "kpi.reading_recorded",
    "kpi.registered",
    "kpi.retired",
    "kpi.returned",
    "kpi.returned_to_range",
    "kpi.revised",
    "objective.closed",
    "objective.committed",
    "objective.drafted",
    "objective.handed_over",
    "objective.proposed",
    "objective.result_reported",
    "objective.revised",
    "organization.founded",
    "organization.renamed",
    "person.corrected",
    "person.erased",
    "person.identity_linked",
    "person.identity_unlinked",
    "person.left",
    "person.registered",
    "reflection.recorded",
    "role.granted",
    "role.withdrawn",
    "survey.answered",
    "team.disbanded",
    "team.formed",
    "team.member_joined",
    "team.member_left",
    "team.member_role_changed",
    "team.moved",
    "team.renamed",
    "webhook.changed",
    "webhook.disabled",
    "webhook.enabled",
    "webhook.registered",
    "webhook.removed",
    "webhook.secret_rotated",
    "workshop.attendance_recorded",
    "workshop.cancelled",
    "workshop.completed",
    "workshop.outcome_recorded",
    "workshop.people_invited",
    "workshop.rescheduled",
    "workshop.scheduled",
}


def test_stored_type_names_are_what_they_always_were() -> None:
    assert set(EVENTS) == TYPE_NAMES


def test_every_event_belongs_to_a_stream_that_can_be_folded() -> None:
    for event in EVENTS.values():
        assert event.category in STREAMS
        assert event.key_field in event.model_fields


def _below(cls: type[Command]) -> set[type[Command]]:
    return {one for sub in cls.__subclasses__() for one in {sub, *_below(sub)}}


def test_every_command_has_a_decider() -> None:
    # By name: dataclasses with slots leave behind the class that they replaced.
    commands = _below(Command)  # type: ignore[type-abstract]
    bases = {base.__name__ for command in commands for base in command.__mro__[1:]}
    assert {command.__name__ for command in commands} - bases == {c.__name__ for c in DECIDERS}


# What would make a decision depend on more than state and command.
IMPURE_MODULES = {"asyncio", "os", "pathlib", "random", "secrets", "socket", "time", "uuid_utils"}
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "uuid7", "open", "print", "random"}


@pytest.mark.parametrize("path", sorted(DOMAIN.glob("*.py")), ids=lambda path: path.stem)
def test_the_domain_reads_no_clock_and_makes_no_ids(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not IMPURE_MODULES & {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            root = (node.module or "").split(".")[0]
            assert root not in IMPURE_MODULES
            assert root != "app" or (node.module or "").startswith("app.domain")
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            assert name not in IMPURE_CALLS, f"{path.name}:{node.lineno} calls {name}()"


@pytest.mark.parametrize("path", sorted(DOMAIN.glob("*.py")), ids=lambda path: path.stem)
def test_every_match_ends_in_assert_never(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Match):
            last = node.cases[-1].body[0]
            assert "assert_never" in ast.unparse(last), f"{path.name}:{node.lineno}"
