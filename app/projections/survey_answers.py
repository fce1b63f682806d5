"""Answers to the process survey: of a cycle, and of nobody."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.survey import SurveyAnswered
from app.events.envelope import Recorded
from app.projections.changes import Change, Projection, insert


class SurveyAnswerRow(SQLModel, table=True):
    __tablename__ = "survey_answers"
    __table_args__ = (Index("ix_survey_answers_cycle", "org_id", "cycle_id", "position"),)

    org_id: UUID = Field(primary_key=True)
    answer_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    cycle_id: UUID
    stayed_visible: int
    real_cadence: int
    outcomes_not_activity: int
    few_enough: int
    said_early: int


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case SurveyAnswered() as event:
            yield insert(
                SurveyAnswerRow,
                org_id=recorded.org_id,
                answer_id=event.answer_id,
                position=recorded.position,
                cycle_id=event.cycle_id,
                **event.answers.model_dump(),
            )


projection = Projection(SurveyAnswerRow, project, heeds=SurveyAnswered)
