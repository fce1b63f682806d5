"""Roles granted to people, and how far a key reaches."""

from migrations.support import lock_read_model, run

revision = "0011"
down_revision = "0010"

TABLES = """
CREATE TABLE roles (
    org_id UUID NOT NULL,
    person_id UUID NOT NULL,
    role VARCHAR NOT NULL,
    position BIGINT NOT NULL,
    granted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reason VARCHAR,
    PRIMARY KEY (org_id, person_id, role)
);
ALTER TABLE api_keys ADD COLUMN teams JSONB;
"""


def upgrade() -> None:
    run(TABLES)
    lock_read_model("roles")
