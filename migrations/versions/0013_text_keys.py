"""Keys that free text is sealed with, and people whose key is gone."""

from migrations.support import keep_to_organization, run

revision = "0013"
down_revision = "0012"

TABLES = """
CREATE TABLE text_keys (
    org_id UUID NOT NULL,
    author VARCHAR NOT NULL,
    key BYTEA NOT NULL,
    PRIMARY KEY (org_id, author)
);
ALTER TABLE ledgers ADD COLUMN text_keys_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE people ADD COLUMN erased BOOLEAN NOT NULL DEFAULT false;
GRANT SELECT, INSERT, DELETE ON text_keys TO okr_app;
"""


def upgrade() -> None:
    run(TABLES)
    keep_to_organization("text_keys")
