"""What a reset took over of alignments and dependencies."""

from migrations.support import run

revision = "0010"
down_revision = "0009"

COLUMNS = """
ALTER TABLE alignments ADD COLUMN previous_id UUID;
ALTER TABLE dependencies ADD COLUMN previous_id UUID;
"""


def upgrade() -> None:
    run(COLUMNS)
