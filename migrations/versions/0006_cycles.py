"""Cycles from the cadence."""

from migrations.support import lock_read_model, run

revision = "0006"
down_revision = "0005"

# What was planned before gets its values from `okr rebuild`.
TABLES = """
ALTER TABLE cycles ADD COLUMN levels JSONB;
ALTER TABLE cycles ADD COLUMN windows JSONB;
ALTER TABLE cycles ADD COLUMN dated_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE cycles ADD COLUMN drafting_begun_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE cycles ADD COLUMN scoring_begun_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE cycles ADD COLUMN cancelled_reason VARCHAR;
"""

READ_MODELS: list[str] = []


def upgrade() -> None:
    run(TABLES)
    for table in READ_MODELS:
        lock_read_model(table)
