"""What the import of any item needs: the things it refers to, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from app.application.import_document import ImportDocument
from app.application.unit_of_work import UnitOfWork
from app.domain.errors import AlreadyExists, Refusal
from app.domain.messages import Command
from app.domain.values import ExternalRef, Owner, OwnerKind, Target
from app.projections.changes import Row


class BadReference(Refusal):
    """Another item is referred to that cannot be used; `pointer` says by which field."""

    name = "wrong-reference"


class UnknownReference(BadReference):
    """The document has no such item."""

    name = "unknown-reference"


class DependsOnRefused(BadReference):
    """The item is in the document, but it was refused."""

    name = "depends-on-refused"


class KeyInUse(Refusal):
    """The key names something of another cycle already."""

    name = "key-in-use"


# References -------------------------------------------------------------------------------


class References:
    """The ids that a document's keys came to stand for."""

    def __init__(self, document: ImportDocument) -> None:
        self.document = document
        self.owners: dict[str, Owner] = {}
        self.goals: dict[str, Target] = {}
        self.needs: dict[str, UUID] = {}
        self.cycle_id: UUID | None = None
        self._owner_keys = {one.key for one in document.owners} | {
            one.key for one in document.people
        }
        self._goal_keys = {one.key for one in document.objectives}
        self._goal_keys |= {key_result.key for _, _, key_result in document.key_results()}

    def _external(self, key: str) -> ExternalRef:
        return ExternalRef(source=self.document.source, external_id=key)

    def _owner(self, key: str, pointer: str) -> Owner:
        if key in self.owners:
            return self.owners[key]
        raise _bad_reference("owner", key, pointer, is_known=key in self._owner_keys)

    def _team(self, key: str, pointer: str) -> UUID:
        owner = self._owner(key, pointer)
        if owner.kind is not OwnerKind.TEAM:
            raise BadReference(f"{key!r} is a person; name a team.", pointer=pointer)
        return owner.id

    def _person(self, key: str, pointer: str) -> UUID:
        owner = self._owner(key, pointer)
        if owner.kind is not OwnerKind.PERSON:
            raise BadReference(f"{key!r} is a team; name a person.", pointer=pointer)
        return owner.id

    def _goal(self, key: str, pointer: str = "") -> Target:
        if key in self.goals:
            return self.goals[key]
        raise _bad_reference("goal", key, pointer, is_known=key in self._goal_keys)

    def _objective(self, key: str, pointer: str) -> UUID:
        goal = self._goal(key, pointer)
        if goal.kind != "objective":
            raise BadReference(f"{key!r} is a key result; name an objective.", pointer=pointer)
        return goal.id

    def _need(self, key: str) -> UUID:
        if key not in self.needs:
            raise _bad_reference("dependency", key, "", is_known=True)
        return self.needs[key]

    def _cycle(self) -> UUID:
        if self.cycle_id is None:
            raise DependsOnRefused("It needs the cycle, which was refused.")
        return self.cycle_id

    async def _require_this_cycle(self, unit: UnitOfWork, key: str, kind: str, id: UUID) -> None:
        """Raise KeyInUse where what a key names is of another cycle: it is not what is meant."""
        if (await unit.state(kind, id)).cycle_id != self._cycle():
            raise KeyInUse(
                f"{key!r} names something of another cycle, {id}; give this one another key, "
                "or the document another source."
            )


def _bad_reference(what: str, key: str, pointer: str, *, is_known: bool) -> BadReference:
    if is_known:
        return DependsOnRefused(f"It needs the {what} {key!r}, which was refused.", pointer=pointer)
    return UnknownReference(f"The document has no {what} {key!r}.", pointer=pointer)


# Outcomes ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    id: UUID | None
    is_new: bool
    warnings: tuple[str, ...] = ()
    differs: str | None = None


async def execute(
    unit: UnitOfWork, command: Command, id: UUID, *, compare: tuple[str, ...] = ()
) -> Done:
    """Run a command; where its thing is there already, compare these fields with its state."""
    try:
        events = await unit.execute(command)
    except AlreadyExists as known:
        done = Done(known.existing, is_new=False)
        if not compare:
            return done
        state = await unit.state(command.category, known.existing)
        return _differing(done, [n for n in compare if getattr(state, n) != getattr(command, n)])
    warnings = tuple(
        finding.message for one in events for finding in getattr(one.event, "warnings", ())
    )
    return Done(id, is_new=bool(events), warnings=warnings)


async def compared(unit: UnitOfWork, done: Done, table: Row, **said: Any) -> Done:
    """Where a thing was there already: which columns of its row say something else."""
    if done.is_new:
        return done
    row = await (await unit.rows()).get(table, done.id)
    if row is None:
        return done
    return _differing(done, [name for name, value in said.items() if getattr(row, name) != value])


def _differing(done: Done, names: Sequence[str]) -> Done:
    return replace(done, differs=f"It is there with another {', '.join(names)}.") if names else done
