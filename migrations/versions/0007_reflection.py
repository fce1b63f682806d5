"""Root causes, and the process survey."""

from migrations.support import lock_read_model, run

revision = "0007"
down_revision = "0006"

TABLES = """
ALTER TABLE key_results ADD COLUMN cause VARCHAR;
CREATE TABLE survey_answers (
    org_id UUID NOT NULL,
    answer_id UUID NOT NULL,
    position BIGINT NOT NULL,
    cycle_id UUID NOT NULL,
    stayed_visible INTEGER NOT NULL,
    real_cadence INTEGER NOT NULL,
    outcomes_not_activity INTEGER NOT NULL,
    few_enough INTEGER NOT NULL,
    said_early INTEGER NOT NULL,
    PRIMARY KEY (org_id, answer_id)
);
CREATE INDEX ix_survey_answers_cycle ON survey_answers (org_id, cycle_id, position);
"""

READ_MODELS = ["survey_answers"]


def upgrade() -> None:
    run(TABLES)
    for table in READ_MODELS:
        lock_read_model(table)
