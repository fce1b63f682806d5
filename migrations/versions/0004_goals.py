"""Kinds of key results, scoring systems, corrections."""

from migrations.support import lock_read_model, run

revision = "0004"
down_revision = "0003"

TABLES = ""

READ_MODELS: list[str] = []


def upgrade() -> None:
    run(TABLES)
    for table in READ_MODELS:
        lock_read_model(table)
