"""Transactions that speak for several organisations, and heads that name their last event."""

from alembic import op

from migrations.support import ORGANIZATIONS, run

revision = "0019"
down_revision = "0018"

# Of ledgers that are there, the next event makes it known.
HEADS = "ALTER TABLE ledgers ADD COLUMN head_event_id UUID;"


def upgrade() -> None:
    run(HEADS)
    named = op.get_bind().exec_driver_sql(
        "SELECT tablename FROM pg_policies WHERE policyname = 'own_organization'"
    )
    for (table,) in named.fetchall():
        op.execute(f"ALTER POLICY own_organization ON {table} USING (org_id = {ORGANIZATIONS})")
