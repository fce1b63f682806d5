"""KPIs and their readings."""

from migrations.support import lock_read_model, run

revision = "0003"
down_revision = "0002"

TABLES = """
CREATE TABLE kpis (
    org_id UUID NOT NULL,
    kpi_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    unit VARCHAR NOT NULL,
    owner_kind VARCHAR NOT NULL,
    owner_id UUID NOT NULL,
    direction VARCHAR NOT NULL,
    low NUMERIC,
    high NUMERIC,
    description VARCHAR,
    registered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    value NUMERIC,
    measured_at TIMESTAMP WITH TIME ZONE,
    in_range BOOLEAN,
    proposal JSONB,
    in_focus BOOLEAN NOT NULL,
    key_result_id UUID,
    objective_id UUID,
    cycle_id UUID,
    retired BOOLEAN NOT NULL,
    retired_reason VARCHAR,
    PRIMARY KEY (org_id, kpi_id)
);
CREATE INDEX ix_kpis_owner ON kpis (org_id, owner_id);
CREATE TABLE kpi_readings (
    org_id UUID NOT NULL,
    reading_id UUID NOT NULL,
    position BIGINT NOT NULL,
    kpi_id UUID NOT NULL,
    value NUMERIC NOT NULL,
    in_range BOOLEAN NOT NULL,
    note VARCHAR,
    check_in_id UUID,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    PRIMARY KEY (org_id, reading_id)
);
CREATE INDEX ix_kpi_readings_kpi ON kpi_readings (org_id, kpi_id, position);
"""

READ_MODELS = ["kpis", "kpi_readings"]


def upgrade() -> None:
    run(TABLES)
    for table in READ_MODELS:
        lock_read_model(table)
