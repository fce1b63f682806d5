"""Phase 2: workshops, coaches and certificates; and the override of the gate before phase 3."""

from migrations.support import lock_read_model, run

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE workshops (
    org_id UUID NOT NULL,
    workshop_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    scheduled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    agenda JSONB NOT NULL,
    team_id UUID,
    quorum JSONB,
    status VARCHAR NOT NULL,
    invited JSONB NOT NULL,
    attended JSONB NOT NULL,
    outcome JSONB NOT NULL,
    completed_at TIMESTAMP WITH TIME ZONE,
    needed INTEGER,
    quorum_reached BOOLEAN,
    cancelled_reason VARCHAR,
    PRIMARY KEY (org_id, workshop_id)
);
CREATE TABLE coaches (
    org_id UUID NOT NULL,
    person_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    active BOOLEAN NOT NULL,
    designated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    workshop_id UUID,
    certified_on DATE,
    expires_on DATE,
    teams JSONB NOT NULL,
    relieved_reason VARCHAR,
    PRIMARY KEY (org_id, person_id)
);
ALTER TABLE cycles ADD COLUMN override JSONB;
"""

READ_MODELS = ["workshops", "coaches"]


def upgrade() -> None:
    run(TABLES)
    for table in READ_MODELS:
        lock_read_model(table)
