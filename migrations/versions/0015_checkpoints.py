"""Checkpoints: what a ledger was, signed."""

from migrations.support import keep_to_organization, run

revision = "0015"
down_revision = "0014"

TABLES = """
CREATE TABLE checkpoints (
    org_id UUID NOT NULL,
    size BIGINT NOT NULL,
    root BYTEA NOT NULL,
    frontier BYTEA NOT NULL,
    note VARCHAR NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (org_id, size)
);
GRANT SELECT, INSERT ON checkpoints TO okr_app;
"""


def upgrade() -> None:
    run(TABLES)
    keep_to_organization("checkpoints")
