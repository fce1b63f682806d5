"""Cycles from the cadence."""

from migrations.support import lock_read_model, run

revision = "0006"
down_revision = "0005"

TABLES = ""

READ_MODELS: list[str] = []


def upgrade() -> None:
    run(TABLES)
    for table in READ_MODELS:
        lock_read_model(table)
