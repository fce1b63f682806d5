"""The naive endpoint: FastAPI and asyncpg over the SQL function, as one writes it on a first day.

A body that pydantic checks, and one transaction to a request. Who asks is not asked, nothing is
decided, and a key that was used before is an error. Served like the product, by one uvicorn worker
with uvloop and httptools; asyncpg's pool is as it comes, of ten connections like the product's.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated, Literal

import asyncpg
from fastapi import FastAPI, Header, Request
from pydantic import BaseModel, Field


class CheckIn(BaseModel):
    value: Decimal
    confidence: Decimal = Field(ge=0, le=1)
    health: Literal["on_track", "at_risk", "off_track"]
    note: str | None = Field(default=None, max_length=4000)


class Recorded(CheckIn):
    position: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["NAIVE_URL"]) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/ready")
async def ready() -> None:
    """There is a pool, or there would be no answer."""


@app.post("/ledgers/{ledger}/check-ins", status_code=201)
async def check_in(
    ledger: int,
    body: CheckIn,
    idempotency_key: Annotated[str, Header()],
    request: Request,
) -> Recorded:
    async with request.app.state.pool.acquire() as conn, conn.transaction():
        position = await conn.fetchval(
            "SELECT bench.check_in($1, $2, $3, $4, $5, $6)",
            ledger,
            body.value,
            body.confidence,
            body.health,
            body.note,
            idempotency_key,
        )
    return Recorded(position=position, **body.model_dump())
