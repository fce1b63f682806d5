"""A key result, its check-ins and its score: what is said of it, what happened, where it stands.

What may happen next is decided in `key_result_commands`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, assert_never
from uuid import UUID

from pydantic import Field, WithJsonSchema

from app.domain.access import Concern
from app.domain.check_in import ASPECTS, Aspect, CheckIn, CheckIns, CheckInTerms, TrackedBy
from app.domain.deployment import (
    AnyScoring,
)
from app.domain.measures import (
    Measure,
    Milestone,
    Reading,
    Threshold,
    Told,
    fits,
    progress,
)
from app.domain.messages import Command, Event, Stream
from app.domain.values import (
    ExternalRef,
    Finding,
    Health,
    Key,
    Line,
    Moment,
    Number,
    Owner,
    Prose,
    Share,
    Value,
    made,
)

Weight = Annotated[
    Number,
    Field(ge=Decimal("0.01"), le=100),
    WithJsonSchema({"type": "number", "minimum": 0.01, "maximum": 100}),
]
"""How much a key result counts beside its neighbours: 0.01 to 100."""


class KeyResultTerms(Value):
    """What is said of a key result, wherever it is said.

    `owner` is stated where it differs from the objective's; weights are relative, 1 by default.
    `tracked_by` is the source that an integration's check-ins name; without one, it is tracked by
    hand.
    """

    title: Line
    measure: Measure = Milestone()
    weight: Weight = Field(default=Decimal(1), json_schema_extra={"default": 1})
    owner: Owner | None = None
    tracked_by: Key | None = None


class Choice(StrEnum):
    """What becomes of a key result at the reset. Nothing carries over by default."""

    KEEP = "keep"
    MODIFY = "modify"
    REMOVE = "remove"


class Cause(StrEnum):
    """The one primary reason for a score below good."""

    AMBITION_TOO_HIGH = "ambition_too_high"
    WRONG_MEASURE = "wrong_measure"
    DEPENDENCY = "dependency"
    CAPACITY = "capacity"
    PRIORITY_SHIFTED = "priority_shifted"
    EXTERNAL = "external"
    LACK_OF_FOCUS = "lack_of_focus"
    NO_OWNER_OR_CADENCE = "no_owner_or_cadence"


# Events -----------------------------------------------------------------------------------


class KeyResultEvent(Event, stream="key_result", key="key_result_id"):
    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID


class KeyResultDrafted(KeyResultEvent, type="key_result.drafted"):
    terms: KeyResultTerms
    previous_id: UUID | None = None
    external: ExternalRef | None = None
    warnings: tuple[Finding, ...] = ()


class Standing(Value):
    """What a key result stands at after an event: the last word on each thing.

    `progress` is that of all readings together: a threshold's moves with one of long ago.
    """

    value: Reading | None = None
    read_at: Moment | None = None
    progress: Share | None = None
    confidence: Share | None = None
    health: Health | None = None
    last_check_in_at: Moment | None = None


class KeyResultAmended(KeyResultEvent, type="key_result.amended", version=2):
    """After commitment it carries a reason; `progress` is that of the readings, measured anew.

    `committed_terms` are those at commitment, stated by the first amendment after it. Version 1
    stated no standing: only the progress changed.
    """

    terms: KeyResultTerms
    committed_terms: KeyResultTerms | None = None
    progress: Share | None = None
    standing: Standing | None = None
    reason: Prose | None = None


class KeyResultRemoved(KeyResultEvent, type="key_result.removed"):
    reason: Prose | None = None


class CheckInRecorded(KeyResultEvent, type="check_in.recorded", version=3):
    """`last_word`: in what no check-in recorded before speaks of a later moment.

    Version 1 kept confidence as a percentage, 0 to 100, and had one last word for everything.
    Version 2 stated no standing: what has no last word changed nothing that was shown.
    """

    check_in_id: UUID
    terms: CheckInTerms
    progress: Share | None = None
    last_word: tuple[Aspect, ...]
    standing: Standing | None = None
    occurred_at: Moment
    tracking: TrackedBy | None = None
    external: ExternalRef | None = None


class CheckInCorrected(KeyResultEvent, type="check_in.corrected"):
    """What the check-in should have said, as a whole. What it did say stays in the history."""

    check_in_id: UUID
    terms: CheckInTerms
    occurred_at: Moment
    progress: Share | None = None
    reason: Prose
    standing: Standing


class CheckInRetracted(KeyResultEvent, type="check_in.retracted"):
    """The check-in should not have been: it counts no more, and stays in the history."""

    check_in_id: UUID
    reason: Prose
    standing: Standing


class KeyResultScored(KeyResultEvent, type="key_result.scored"):
    """Both the computed score and the final one are kept; where they differ, so is the reason.

    `as_committed` is what the terms at commitment would have given, where they were amended since.
    """

    computed: Share
    as_committed: Share | None = None
    score: Share
    formula: str
    comment: Prose
    adjustment_reason: Prose | None = None


class KeyResultSucceeded(KeyResultEvent, type="key_result.succeeded"):
    """A measured baseline seeded a metric, which goes on from it."""

    successor_id: UUID


class KeyResultReset(KeyResultEvent, type="key_result.reset"):
    choice: Choice
    learning: Prose | None = None
    cause: Cause | None = None
    successor_id: UUID | None = None
    warnings: tuple[Finding, ...] = ()


KeyResultEvents = (
    KeyResultDrafted
    | KeyResultAmended
    | KeyResultRemoved
    | CheckInRecorded
    | CheckInCorrected
    | CheckInRetracted
    | KeyResultScored
    | KeyResultSucceeded
    | KeyResultReset
)


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyResult:
    """`last` is, for each thing that can be said, the check-in that has the last word in it.

    A reading that does not fit the measure, from before an amendment, has none.
    """

    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID
    terms: KeyResultTerms
    removed: bool = False
    check_ins: CheckIns = field(default_factory=CheckIns)
    last: Mapping[Aspect, CheckIn] = field(default_factory=dict)
    committed_terms: KeyResultTerms | None = None
    score: Decimal | None = None
    successor_id: UUID | None = None

    def last_word(self, told: CheckIn) -> tuple[Aspect, ...]:
        """In what a check-in told now has the last word: none before speaks of a later moment."""
        return tuple(
            aspect
            for aspect in ASPECTS
            if told.says(aspect)
            and (aspect not in self.last or self.last[aspect].occurred_at <= told.occurred_at)
        )

    @property
    def told(self) -> tuple[Told, ...]:
        """The readings, in the order of what they speak of."""
        valued = [one for one in self.check_ins if one.value is not None]
        valued.sort(key=lambda one: one.occurred_at)
        return tuple(one.reading for one in valued)

    def progress(self, rules: AnyScoring | None = None) -> Decimal | None:
        """How far it has come; None without a reading that fits the measure."""
        if isinstance(self.terms.measure, Threshold):
            told = self.told
        else:
            # Of these, the last reading tells all.
            last = self.last.get("value")
            told = () if last is None else (last.reading,)
        return progress(self.terms.measure, told, held_by=rules.threshold_by if rules else "time")

    def with_terms(self, terms: KeyResultTerms) -> KeyResult:
        """After an amendment; another kind of measure takes other readings."""
        return replace(self, terms=terms)._standing_on(self.check_ins)

    def with_new_check_in(self, told: CheckIn) -> KeyResult:
        """After a check-in was told for the first time."""
        return replace(
            self,
            check_ins=self.check_ins.with_one(told),
            last={**self.last, **dict.fromkeys(self.last_word(told), told)},
        )

    def with_check_in(self, told: CheckIn) -> KeyResult:
        """After a check-in was told anew; the last words are found again where they may differ."""
        check_ins = self.check_ins.with_told_anew(told)
        if self._has_last_word(told.check_in_id) or self._may_have_last_word(told):
            return self._standing_on(check_ins)
        return replace(self, check_ins=check_ins)

    def without_check_in(self, check_in_id: UUID) -> KeyResult:
        left = self.check_ins.without(check_in_id)
        if self._has_last_word(check_in_id):
            return self._standing_on(left)
        return replace(self, check_ins=left)

    def _has_last_word(self, check_in_id: UUID) -> bool:
        return any(one.check_in_id == check_in_id for one in self.last.values())

    def _may_have_last_word(self, told: CheckIn) -> bool:
        return any(
            aspect not in self.last or self.last[aspect].occurred_at <= told.occurred_at
            for aspect in ASPECTS
            if self._counts(told, aspect)
        )

    def known_at(self, moment: datetime) -> KeyResult:
        """With only what occurred up to a moment."""
        return self._standing_on(self.check_ins.up_to(moment))

    def _standing_on(self, check_ins: CheckIns) -> KeyResult:
        last: dict[Aspect, CheckIn] = {}
        for one in check_ins:
            for aspect in ASPECTS:
                before = last.get(aspect)
                # Of two that speak of the same moment, the later told has the last word.
                is_later = before is None or before.occurred_at <= one.occurred_at
                if is_later and self._counts(one, aspect):
                    last[aspect] = one
        return replace(self, check_ins=check_ins, last=last)

    def _counts(self, one: CheckIn, aspect: Aspect) -> bool:
        value = one.value
        return one.says(aspect) and (
            aspect != "value" or (value is not None and fits(self.terms.measure, value))
        )

    def standing(self, rules: AnyScoring | None) -> Standing:
        """The last word on each thing."""
        moment, value = self.last.get("moment"), self.last.get("value")
        confidence, health = self.last.get("confidence"), self.last.get("health")
        return made(
            Standing,
            value=value and value.value,
            read_at=value and value.occurred_at,
            progress=self.progress(rules),
            confidence=confidence and confidence.confidence,
            health=health and health.health,
            last_check_in_at=moment and moment.occurred_at,
        )


def evolve(state: KeyResult | None, event: KeyResultEvents) -> KeyResult:
    if isinstance(event, KeyResultDrafted):
        return KeyResult(event.key_result_id, event.objective_id, event.cycle_id, event.terms)
    assert state is not None, "a key result's stream starts with key_result.drafted"
    match event:
        case KeyResultAmended():
            committed_terms = state.committed_terms or event.committed_terms
            return replace(state.with_terms(event.terms), committed_terms=committed_terms)
        case KeyResultRemoved():
            return replace(state, removed=True)
        case CheckInRecorded():
            return state.with_new_check_in(
                CheckIn.of(event.check_in_id, event.terms, event.occurred_at)
            )
        case CheckInCorrected():
            told = CheckIn.of(event.check_in_id, event.terms, event.occurred_at)
            return state.with_check_in(told)
        case CheckInRetracted():
            return state.without_check_in(event.check_in_id)
        case KeyResultScored():
            return replace(state, score=event.score)
        case KeyResultSucceeded():
            return replace(state, successor_id=event.successor_id)
        case KeyResultReset():
            return state
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyResultCommand(Command):
    """What all commands about a key result have; they are in `key_result_commands`."""

    category: ClassVar[str] = "key_result"
    key_result_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.key_result_id)

    def concerns(self, state: KeyResult | None) -> tuple[Concern, ...]:
        return (Concern("key_result", self.key_result_id),)

    def source(self, state: KeyResult | None) -> str | None:
        """The source that it names; without one, the integration that the key result is left to."""
        # Not super(): a dataclass with slots is another class than the one that is written.
        named = Command.source(self, state)
        return state.terms.tracked_by if named is None and state is not None else named
