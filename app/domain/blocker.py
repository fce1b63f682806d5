"""A blocker: what stands in a key result's way, of which kind, whose it is, and what is next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, assert_never
from uuid import UUID

from app.domain.access import Concern
from app.domain.cycle import Cycle, Phase
from app.domain.errors import InvalidState, NotFound
from app.domain.key_result import KeyResult
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.values import Prose


class BlockerKind(StrEnum):
    RESOURCE = "resource"
    DEPENDENCY = "dependency"
    CLARITY = "clarity"
    PRIORITY_CONFLICT = "priority_conflict"
    EXTERNAL = "external"


# Events -----------------------------------------------------------------------------------


class BlockerEvent(Event, stream="blocker", key="blocker_id"):
    blocker_id: UUID
    key_result_id: UUID
    cycle_id: UUID


class BlockerRaised(BlockerEvent, type="blocker.raised"):
    kind: BlockerKind
    what: Prose
    owner_id: UUID
    next_action: Prose


class BlockerHandedOver(BlockerEvent, type="blocker.handed_over"):
    """Another owner, or another next action."""

    owner_id: UUID
    next_action: Prose


class BlockerResolved(BlockerEvent, type="blocker.resolved"):
    how: Prose | None = None


BlockerEvents = BlockerRaised | BlockerHandedOver | BlockerResolved


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Blocker:
    blocker_id: UUID
    key_result_id: UUID
    cycle_id: UUID
    owner_id: UUID
    next_action: str
    resolved: bool = False


def evolve(state: Blocker | None, event: BlockerEvents) -> Blocker:
    if isinstance(event, BlockerRaised):
        return Blocker(
            event.blocker_id,
            event.key_result_id,
            event.cycle_id,
            event.owner_id,
            event.next_action,
        )
    assert state is not None, "a blocker's stream starts with blocker.raised"
    match event:
        case BlockerHandedOver():
            return replace(state, owner_id=event.owner_id, next_action=event.next_action)
        case BlockerResolved():
            return replace(state, resolved=True)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockerCommand(Command):
    category: ClassVar[str] = "blocker"
    blocker_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.blocker_id)

    def concerns(self, state: Blocker | None) -> tuple[Concern, ...]:
        if state is None:
            return (Concern("key_result"),)
        return (Concern("key_result", state.key_result_id), Concern("person", state.owner_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseBlocker(BlockerCommand):
    """Raises NotFound (key result, owner), InvalidState unless the cycle is active."""

    key_result_id: UUID
    kind: BlockerKind
    what: str
    owner_id: UUID
    next_action: str
    key_result: KeyResult | None = looked_up("key_result", lambda _, c: c.key_result_id)
    cycle: Cycle | None = looked_up("cycle_of_key_result", lambda _, c: c.key_result_id)
    owner_known: bool = looked_up("person_known", lambda _, c: c.owner_id)

    def concerns(self, state: Blocker | None) -> tuple[Concern, ...]:
        return (Concern("key_result", self.key_result_id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverBlocker(BlockerCommand):
    """Name another owner, another next action, or both."""

    owner_id: UUID | None = None
    next_action: str | None = None
    owner_known: bool = looked_up("person_known", lambda _, c: c.owner_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveBlocker(BlockerCommand):
    how: str | None = None


BlockerCommands = RaiseBlocker | HandOverBlocker | ResolveBlocker


def _raise(command: RaiseBlocker) -> BlockerRaised:
    key_result, cycle = command.key_result, command.cycle
    if key_result is None or cycle is None:
        raise NotFound("key result", command.key_result_id)
    if key_result.removed:
        raise InvalidState("key result", "removed", "RaiseBlocker", "Nothing blocks it any more.")
    cycle.allow(command, Phase.ACTIVE)
    if not command.owner_known:
        raise NotFound("person", command.owner_id, pointer="/owner_id")
    return BlockerRaised(
        blocker_id=command.blocker_id,
        key_result_id=key_result.key_result_id,
        cycle_id=key_result.cycle_id,
        kind=command.kind,
        what=command.what,
        owner_id=command.owner_id,
        next_action=command.next_action,
    )


def decide(state: Blocker | None, command: BlockerCommands) -> list[BlockerEvents]:
    if isinstance(command, RaiseBlocker):
        return [_raise(command)]
    if state is None:
        raise NotFound("blocker", command.blocker_id)
    if state.resolved:
        raise InvalidState("blocker", "resolved", type(command).__name__, "Raise another one.")
    ids = {
        "blocker_id": state.blocker_id,
        "key_result_id": state.key_result_id,
        "cycle_id": state.cycle_id,
    }
    match command:
        case HandOverBlocker():
            if command.owner_id is not None and not command.owner_known:
                raise NotFound("person", command.owner_id, pointer="/owner_id")
            owner_id = command.owner_id or state.owner_id
            action = command.next_action or state.next_action
            if (owner_id, action) == (state.owner_id, state.next_action):
                return []
            return [BlockerHandedOver(**ids, owner_id=owner_id, next_action=action)]
        case ResolveBlocker():
            return [BlockerResolved(**ids, how=command.how)]
        case _:
            assert_never(command)


decider: Decider[Blocker | None, BlockerCommands, BlockerEvents] = Decider(
    category="blocker", initial=None, evolve=evolve, decide=decide
)
