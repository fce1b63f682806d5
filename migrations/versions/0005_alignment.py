"""Alignment across teams."""

from migrations.support import lock_read_model, run

revision = "0005"
down_revision = "0004"

TABLES = """
CREATE TABLE dependencies (
    org_id UUID NOT NULL,
    dependency_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    cycle_id UUID NOT NULL,
    objective_id UUID NOT NULL,
    on_kind VARCHAR NOT NULL,
    on_id UUID NOT NULL,
    on_team_id UUID,
    needed VARCHAR NOT NULL,
    needed_by DATE NOT NULL,
    risk_owner_id UUID,
    status VARCHAR NOT NULL,
    declared_at TIMESTAMP WITH TIME ZONE NOT NULL,
    answered_by UUID,
    answer VARCHAR,
    answered_at TIMESTAMP WITH TIME ZONE,
    delivered_at TIMESTAMP WITH TIME ZONE,
    delivery_note VARCHAR,
    withdrawn_reason VARCHAR,
    PRIMARY KEY (org_id, dependency_id)
);
CREATE INDEX ix_dependencies_cycle ON dependencies (org_id, cycle_id, position);
CREATE INDEX ix_dependencies_objective ON dependencies (org_id, objective_id);
"""

READ_MODELS = ["dependencies"]


def upgrade() -> None:
    run(TABLES)
    for table in READ_MODELS:
        lock_read_model(table)
