"""How each check-in was tracked, and by what a key result is."""

from migrations.support import run

revision = "0008"
down_revision = "0007"

COLUMNS = """
ALTER TABLE key_results ADD COLUMN tracked_by VARCHAR;
ALTER TABLE check_ins ADD COLUMN tracking VARCHAR;
"""


def upgrade() -> None:
    run(COLUMNS)
