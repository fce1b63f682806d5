"""Whom anything is sent to, so that a sender that has nothing to do need not look all the time."""

from migrations.support import run

revision = "0021"
down_revision = "0020"

# Like webhooks_due, and with the same policies: organisations, and nothing else of them but when.
STANDING = """
CREATE FUNCTION webhooks_standing(most INTEGER)
    RETURNS TABLE (org_id UUID, seconds DOUBLE PRECISION)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT c.org_id, min(extract(epoch FROM next.due_at - clock_timestamp()))
    FROM webhook_cursors c LEFT JOIN LATERAL (
        SELECT d.due_at FROM webhook_deliveries d
        WHERE d.org_id = c.org_id AND d.webhook_id = c.webhook_id
            AND d.due_at > clock_timestamp()
        ORDER BY d.due_at LIMIT 1
    ) next ON true
    GROUP BY c.org_id LIMIT most
$$;
REVOKE ALL ON FUNCTION webhooks_standing(INTEGER) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION webhooks_standing(INTEGER) TO okr_app;
"""


def upgrade() -> None:
    run(STANDING)
