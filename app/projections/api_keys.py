"""What each API key may do, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.domain.api_key import ApiKeyIssued, ApiKeyRevoked
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert, json_column


class ApiKeyRow(SQLModel, table=True):
    __tablename__ = "api_keys"

    org_id: UUID = Field(primary_key=True)
    key_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    name: str
    scopes: Any = json_column()
    person_id: UUID | None = None
    teams: Any = json_column(default=None, nullable=True)
    key_results: Any = json_column(default=None, nullable=True)
    sources: Any = json_column(default=None, nullable=True)
    issued_at: datetime = moment()
    expires_at: datetime | None = moment(default=None, nullable=True)
    revoked_at: datetime | None = moment(default=None, nullable=True)


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case ApiKeyIssued() as event:
            yield insert(
                ApiKeyRow,
                org_id=recorded.org_id,
                key_id=event.key_id,
                position=recorded.position,
                version=recorded.version,
                name=event.name,
                scopes=[scope.value for scope in event.scopes],
                person_id=event.person_id,
                teams=None if event.teams is None else [str(id) for id in event.teams],
                key_results=None
                if event.key_results is None
                else [str(id) for id in event.key_results],
                sources=None if event.sources is None else list(event.sources),
                issued_at=recorded.recorded_at,
                expires_at=event.expires_at,
            )
        case ApiKeyRevoked() as event:
            yield Update(
                ApiKeyRow,
                (event.key_id,),
                {"revoked_at": recorded.recorded_at, "version": recorded.version},
            )


projection = Projection(ApiKeyRow, project, heeds=(ApiKeyIssued, ApiKeyRevoked))
