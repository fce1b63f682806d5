"""Who people are at an OpenID Connect provider."""

from migrations.support import keep_to_organization, run

revision = "0014"
down_revision = "0013"

TABLES = """
CREATE TABLE identities (
    org_id UUID NOT NULL,
    digest BYTEA NOT NULL,
    person_id UUID NOT NULL,
    PRIMARY KEY (org_id, digest)
);
CREATE INDEX ix_identities_digest ON identities (digest);
ALTER TABLE people ADD COLUMN issuer VARCHAR;
GRANT SELECT, INSERT, DELETE ON identities TO okr_app;
"""

# Whoever presents a token finds where its subject is known, before any organisation is.
HOLDER = """
CREATE POLICY holder ON identities FOR SELECT
    USING (digest = decode(nullif(current_setting('app.key_digest', true), ''), 'hex'));
"""


def upgrade() -> None:
    run(TABLES)
    keep_to_organization("identities")
    run(HOLDER)
