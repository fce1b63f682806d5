"""Key results, each with what its latest check-in says and what it was scored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.key_result import (
    CheckInCorrected,
    CheckInRecorded,
    CheckInRetracted,
    KeyResultAmended,
    KeyResultDrafted,
    KeyResultEvent,
    KeyResultRemoved,
    KeyResultReset,
    KeyResultScored,
    KeyResultSucceeded,
    KeyResultTerms,
    Standing,
)
from app.domain.measures import as_number
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, decimal_column, insert, json_column


class KeyResultRow(SQLModel, table=True):
    """`value` is a number; 1 and 0 for a milestone reached and not; or the rank of its level."""

    __tablename__ = "key_results"
    __table_args__ = (
        Index("ix_key_results_cycle", "org_id", "cycle_id", "position"),
        Index("ix_key_results_objective", "org_id", "objective_id"),
    )

    org_id: UUID = Field(primary_key=True)
    key_result_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    cycle_id: UUID
    objective_id: UUID
    title: str
    measure: Any = json_column()
    weight: Decimal = decimal_column()
    owner_kind: str | None = None
    owner_id: UUID | None = None
    tracked_by: str | None = None
    removed: bool = False
    drafted_at: datetime = moment()
    value: Decimal | None = decimal_column(default=None, nullable=True)
    value_at: datetime | None = moment(default=None, nullable=True)
    progress: Decimal | None = decimal_column(default=None, nullable=True)
    confidence: Decimal | None = decimal_column(default=None, nullable=True)
    health: str | None = None
    last_check_in_at: datetime | None = moment(default=None, nullable=True)
    computed_score: Decimal | None = decimal_column(default=None, nullable=True)
    score: Decimal | None = decimal_column(default=None, nullable=True)
    score_as_committed: Decimal | None = decimal_column(default=None, nullable=True)
    scored_position: int | None = Field(default=None, sa_type=BigInteger)
    committed_measure: Any = json_column(default=None, nullable=True)
    score_formula: str | None = None
    score_comment: str | None = None
    adjustment_reason: str | None = None
    choice: str | None = None
    learning: str | None = None
    cause: str | None = None
    previous_id: UUID | None = None
    successor_id: UUID | None = None


def _terms(terms: KeyResultTerms) -> dict[str, Any]:
    return {
        "title": terms.title,
        "measure": terms.measure.model_dump(mode="json"),
        "weight": terms.weight,
        "owner_kind": terms.owner and terms.owner.kind,
        "owner_id": terms.owner and terms.owner.id,
        "tracked_by": terms.tracked_by,
    }


def _last_words(event: CheckInRecorded) -> dict[str, Any]:
    """What of a check-in kept before version 3 became the key result's standing."""
    terms, said = event.terms, dict[str, Any]()
    for aspect in event.last_word:
        match aspect:
            case "moment":
                said["last_check_in_at"] = event.occurred_at
            case "value":
                assert terms.value is not None, "a last word was said"
                said |= {"value": as_number(terms.value), "value_at": event.occurred_at}
                said["progress"] = event.progress
            case "confidence":
                said["confidence"] = terms.confidence
            case "health":
                said["health"] = terms.health
    return said


def stands(standing: Standing) -> dict[str, Any]:
    """The columns that a check-in moves."""
    return {
        "value": as_number(standing.value),
        "value_at": standing.read_at,
        "progress": standing.progress,
        "confidence": standing.confidence,
        "health": standing.health,
        "last_check_in_at": standing.last_check_in_at,
    }


def project(recorded: Recorded) -> Iterator[Change]:
    event = recorded.event
    if not isinstance(event, KeyResultEvent):
        return
    changed: dict[str, Any] = {}
    match event:
        case KeyResultDrafted():
            yield insert(
                KeyResultRow,
                org_id=recorded.org_id,
                key_result_id=event.key_result_id,
                position=recorded.position,
                version=recorded.version,
                cycle_id=event.cycle_id,
                objective_id=event.objective_id,
                **_terms(event.terms),
                drafted_at=recorded.recorded_at,
                previous_id=event.previous_id,
            )
            return
        case KeyResultAmended():
            moved: dict[str, Any] = {"progress": event.progress}
            if event.standing is not None:
                moved = stands(event.standing)
            changed = {**_terms(event.terms), **moved}
            if event.committed_terms is not None:
                measure = event.committed_terms.measure.model_dump(mode="json")
                changed["committed_measure"] = measure
        case KeyResultRemoved():
            changed = {"removed": True}
        case CheckInRecorded():
            standing = event.standing
            changed = _last_words(event) if standing is None else stands(standing)
        case CheckInCorrected() | CheckInRetracted():
            changed = stands(event.standing)
        case KeyResultSucceeded():
            changed = {"successor_id": event.successor_id}
        case KeyResultScored():
            changed = {
                "computed_score": event.computed,
                "score": event.score,
                "score_as_committed": event.as_committed,
                "scored_position": recorded.position,
                "score_formula": event.formula,
                "score_comment": event.comment,
                "adjustment_reason": event.adjustment_reason,
            }
        case KeyResultReset():
            changed = {
                "choice": event.choice,
                "learning": event.learning,
                "cause": event.cause,
                "successor_id": event.successor_id,
            }
    yield Update(KeyResultRow, (event.key_result_id,), {**changed, "version": recorded.version})


projection = Projection(KeyResultRow, project, heeds=KeyResultEvent)
