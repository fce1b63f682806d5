"""Keys that are narrowed to key results, or to sources."""

from migrations.support import run

revision = "0017"
down_revision = "0016"

TABLES = """
ALTER TABLE api_keys ADD COLUMN key_results JSONB;
ALTER TABLE api_keys ADD COLUMN sources JSONB;
"""


def upgrade() -> None:
    run(TABLES)
