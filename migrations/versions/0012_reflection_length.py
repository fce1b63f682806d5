"""How long a reflection took, and who took part."""

from migrations.support import run

revision = "0012"
down_revision = "0011"

COLUMNS = """
ALTER TABLE reflections ADD COLUMN minutes INTEGER;
ALTER TABLE reflections ADD COLUMN participants JSONB NOT NULL DEFAULT '[]';
ALTER TABLE reflections ALTER COLUMN participants DROP DEFAULT;
"""


def upgrade() -> None:
    run(COLUMNS)
