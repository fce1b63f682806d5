"""given(events).when(command).then(events): the domain tests' way of speaking."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from app.domain.catalog import DECIDERS
from app.domain.errors import Refusal
from app.domain.messages import Command, Event
from app.events.codec import decode, encode

R = TypeVar("R", bound=Refusal)


@dataclass(frozen=True)
class When:
    """A command, waiting to be decided on what happened before."""

    history: Sequence[Event]
    command: Command

    def decide(self) -> list[Event]:
        """What comes of it, which can be kept: whatever is told is read again as it was told."""
        decider = DECIDERS[type(self.command)]
        told = list(decider.decide(decider.fold(self.history), self.command))
        for event in told:
            assert decode(event.type_name, event.schema_version, encode(event)) == event
        return told

    def then(self, *expected: Event) -> None:
        assert self.decide() == list(expected)

    def then_nothing(self) -> None:
        assert self.decide() == []

    def then_raises(self, refusal: type[R], saying: str = "") -> R:
        with pytest.raises(refusal, match=re.escape(saying) if saying else None) as caught:
            self.decide()
        assert type(caught.value) is refusal
        return caught.value


@dataclass(frozen=True)
class Given:
    history: Sequence[Event]

    def when(self, command: Command) -> When:
        return When(self.history, command)

    def state(self, command: type[Command]) -> Any:
        """What this history folds to, for the aggregate of such a command."""
        return DECIDERS[command].fold(self.history)


def given(*history: Event) -> Given:
    return Given(history)
