"""Webhooks, and how sending to them goes."""

from migrations.support import keep_to_organization, lock_read_model, run

revision = "0018"
down_revision = "0017"

TABLES = """
CREATE TABLE webhooks (
    org_id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    url VARCHAR NOT NULL,
    event_types JSONB,
    description VARCHAR,
    status VARCHAR NOT NULL,
    because VARCHAR,
    reason VARCHAR,
    removed BOOLEAN NOT NULL,
    registered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    rotated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (org_id, webhook_id)
);
CREATE TABLE webhook_secrets (
    org_id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    secret BYTEA NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    until TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (org_id, webhook_id, secret)
);
CREATE TABLE webhook_cursors (
    org_id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    position BIGINT NOT NULL,
    looked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    failing_since TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (org_id, webhook_id)
);
CREATE TABLE webhook_deliveries (
    org_id UUID NOT NULL,
    delivery_id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    number BIGINT NOT NULL,
    event_id UUID NOT NULL,
    type VARCHAR NOT NULL,
    position BIGINT,
    status VARCHAR NOT NULL,
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE,
    leased_until TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (org_id, delivery_id),
    UNIQUE (org_id, webhook_id, number)
);
CREATE INDEX ix_webhook_deliveries_due ON webhook_deliveries (org_id, webhook_id, due_at);
CREATE INDEX ix_webhook_deliveries_event ON webhook_deliveries (org_id, webhook_id, position);
CREATE INDEX ix_webhook_deliveries_age ON webhook_deliveries (finished_at);
CREATE TABLE webhook_attempts (
    org_id UUID NOT NULL,
    delivery_id UUID NOT NULL,
    number INTEGER NOT NULL,
    began_at TIMESTAMP WITH TIME ZONE NOT NULL,
    status INTEGER,
    error VARCHAR,
    milliseconds INTEGER,
    answer VARCHAR,
    PRIMARY KEY (org_id, delivery_id, number)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON
    webhook_secrets, webhook_cursors, webhook_deliveries, webhook_attempts TO okr_app;
"""

# The sender of a process serves all organisations, and row-level security shows it one at a time.
# What the functions tell it is which one to look at, and nothing else of any. They run as the
# tables' owner, whom the policies let read these three tables; nobody else gains anything.
DUE = """
CREATE POLICY keeper ON webhook_secrets FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY keeper ON webhook_cursors FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY keeper ON webhook_deliveries FOR SELECT TO CURRENT_USER USING (true);
CREATE FUNCTION webhooks_due(most INTEGER) RETURNS TABLE (org_id UUID, webhook_id UUID)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT c.org_id, c.webhook_id
    FROM webhook_cursors c JOIN ledgers l ON l.org_id = c.org_id
    WHERE c.position < l.head OR EXISTS (
        SELECT FROM webhook_deliveries d
        WHERE d.org_id = c.org_id AND d.webhook_id = c.webhook_id
            AND d.due_at <= clock_timestamp()
            AND (d.leased_until IS NULL OR d.leased_until <= clock_timestamp())
    )
    ORDER BY c.looked_at LIMIT most
$$;
CREATE FUNCTION webhooks_to_tidy(before TIMESTAMP WITH TIME ZONE, most INTEGER)
    RETURNS TABLE (org_id UUID)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    (SELECT d.org_id FROM webhook_deliveries d WHERE d.finished_at < before LIMIT most)
    UNION (SELECT s.org_id FROM webhook_secrets s WHERE s.until <= clock_timestamp() LIMIT most)
$$;
REVOKE ALL ON FUNCTION webhooks_due(INTEGER) FROM PUBLIC;
REVOKE ALL ON FUNCTION webhooks_to_tidy(TIMESTAMP WITH TIME ZONE, INTEGER) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION webhooks_due(INTEGER) TO okr_app;
GRANT EXECUTE ON FUNCTION webhooks_to_tidy(TIMESTAMP WITH TIME ZONE, INTEGER) TO okr_app;
"""

OPERATIONAL = ("webhook_secrets", "webhook_cursors", "webhook_deliveries", "webhook_attempts")


def upgrade() -> None:
    run(TABLES)
    lock_read_model("webhooks")
    for table in OPERATIONAL:
        keep_to_organization(table)
    run(DUE)
