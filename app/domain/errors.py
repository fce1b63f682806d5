"""Why a command is refused. Each kind has a stable name; what HTTP makes of it, the API knows.

Refusal
├── NotFound           the id is unknown in this organisation
├── AlreadyExists      this external id (or name) was recorded before
├── InvalidState       the thing's state allows other commands
├── DecisionRefuses    a deployment decision in force forbids it
├── WrongKind          the value does not fit the kind of key result
├── AlignmentLoop      a goal would contribute to itself
├── TeamLoop           a team would stand above itself
├── OutsideCycle       the moment lies outside the cycle, or in the future
├── ReasonMissing      this change must say why
├── OutOfReach         whom it concerns is beyond the reach of the roles of whoever asks
├── NotReady           execution would begin before deployment and training are done
└── ResetIncomplete    key results are without a keep / modify / remove decision
"""

from __future__ import annotations

from typing import ClassVar, Self
from uuid import UUID


class Refusal(Exception):
    """A command that does not apply. `detail` says what to change; `pointer` which field."""

    name: ClassVar[str] = "refused"

    def __init__(self, detail: str, *, pointer: str | None = None, **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.facts = facts

    def within(self, place: str) -> Self:
        """The same refusal of a part: its pointer begins at this place of the whole."""
        self.pointer = place + (self.pointer or "")
        return self


class NotFound(Refusal):
    name = "not-found"

    def __init__(self, what: str, key: object, *, pointer: str | None = None) -> None:
        super().__init__(
            f"There is no {what} {key} in this organisation; check the id.", pointer=pointer
        )


class AlreadyExists(Refusal):
    name = "already-exists"

    def __init__(self, what: str, existing: UUID) -> None:
        super().__init__(
            f"This {what} was recorded before, as {existing}; use that one.",
            existing_id=str(existing),
        )
        self.existing = existing


class InvalidState(Refusal):
    """Names the thing, its state, the command refused and the one that would work."""

    name = "invalid-state"

    def __init__(self, what: str, state: str, command: str, instead: str) -> None:
        super().__init__(f"{command} does not apply: the {what} is {state}. {instead}", state=state)


class DecisionRefuses(Refusal):
    name = "decision-refuses"

    def __init__(
        self, decision: str, rule: str, detail: str, *, pointer: str | None = None
    ) -> None:
        super().__init__(detail, pointer=pointer, decision=decision, rule=rule)


class WrongKind(Refusal):
    name = "wrong-kind"


class AlignmentLoop(Refusal):
    name = "alignment-loop"


class TeamLoop(Refusal):
    name = "team-loop"


class OutsideCycle(Refusal):
    name = "outside-cycle"


class ReasonMissing(Refusal):
    name = "reason-missing"


class OutOfReach(Refusal):
    name = "out-of-reach"


class NotReady(Refusal):
    name = "not-ready"


class ResetIncomplete(Refusal):
    name = "reset-incomplete"
