"""Kinds of key results, scoring systems, corrections."""

from migrations.support import lock_read_model, run

revision = "0004"
down_revision = "0003"

TABLES = """
ALTER TABLE key_results ADD COLUMN value_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE key_results ADD COLUMN score_as_committed NUMERIC;
ALTER TABLE key_results ADD COLUMN scored_position BIGINT;
ALTER TABLE key_results ADD COLUMN committed_measure JSONB;
ALTER TABLE check_ins ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE check_ins ALTER COLUMN version DROP DEFAULT;
ALTER TABLE check_ins ADD COLUMN level VARCHAR;
ALTER TABLE check_ins ADD COLUMN increment NUMERIC;
ALTER TABLE check_ins ADD COLUMN corrected_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE check_ins ADD COLUMN retracted BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE check_ins ADD COLUMN reason VARCHAR;
ALTER TABLE check_ins ALTER COLUMN retracted DROP DEFAULT;
"""

READ_MODELS: list[str] = []


def upgrade() -> None:
    run(TABLES)
    for table in READ_MODELS:
        lock_read_model(table)
