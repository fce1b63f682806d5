"""Blockers."""

from migrations.support import lock_read_model, run

revision = "0009"
down_revision = "0008"

TABLES = """
CREATE TABLE blockers (
    org_id UUID NOT NULL,
    blocker_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    key_result_id UUID NOT NULL,
    cycle_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    what VARCHAR NOT NULL,
    owner_id UUID NOT NULL,
    next_action VARCHAR NOT NULL,
    raised_at TIMESTAMP WITH TIME ZONE NOT NULL,
    resolved BOOLEAN NOT NULL,
    resolved_at TIMESTAMP WITH TIME ZONE,
    how VARCHAR,
    PRIMARY KEY (org_id, blocker_id)
);
CREATE INDEX ix_blockers_cycle ON blockers (org_id, cycle_id, position);
"""


def upgrade() -> None:
    run(TABLES)
    lock_read_model("blockers")
