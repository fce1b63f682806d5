"""Transactions that look up several keys at once."""

from alembic import op

from migrations.support import KEY_DIGESTS

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    for table in ("credentials", "operators", "identities"):
        op.execute(f"ALTER POLICY holder ON {table} USING (digest = {KEY_DIGESTS})")
