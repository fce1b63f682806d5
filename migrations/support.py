"""What migrations share: scripts of several statements, and the locks on a table."""

from __future__ import annotations

from alembic import op

# After a transaction that set it, the setting reads '' and not NULL. It names one organisation, or
# several apart by commas, and is read once for each statement, not for each row.
_SETTING = "nullif(current_setting('app.org_id', true), '')"
ORGANIZATIONS = f"ANY ((SELECT string_to_array({_SETTING}, ',')::uuid[])::uuid[])"

# Keys that a transaction was asked with, by their digests: an array, as text.
KEY_DIGESTS = "ANY ((SELECT nullif(current_setting('app.key_digest', true), '')::bytea[])::bytea[])"


def run(script: str) -> None:
    """Run several statements: the driver takes them one by one."""
    for statement in _split(script):
        op.execute(statement)


def _split(script: str) -> list[str]:
    statements, current, quoted = [], "", False
    for line in script.strip().splitlines():
        quoted ^= line.count("$$") % 2 == 1
        current += line + "\n"
        if line.rstrip().endswith(";") and not quoted:
            statements.append(current.strip())
            current = ""
    return statements


def keep_to_organization(table: str) -> None:
    """Show a table's rows only to transactions that speak for their organisation."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_organization ON {table} USING (org_id = {ORGANIZATIONS})")


def lock_read_model(table: str) -> None:
    """Row-level security, and the rights that the application's role has on a read model."""
    keep_to_organization(table)
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO okr_app")
