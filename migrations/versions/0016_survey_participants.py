"""Who answered the survey of a cycle."""

from migrations.support import keep_to_organization, run

revision = "0016"
down_revision = "0015"

TABLES = """
CREATE TABLE survey_participants (
    org_id UUID NOT NULL,
    cycle_id UUID NOT NULL,
    person_id UUID NOT NULL,
    PRIMARY KEY (org_id, cycle_id, person_id)
);
GRANT SELECT, INSERT, DELETE ON survey_participants TO okr_app;
"""


def upgrade() -> None:
    run(TABLES)
    keep_to_organization("survey_participants")
