"""Commits that fail, and commits that take their time: a deferred trigger on what is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.events.statements import Connection
from tests.faults.cluster import Place

SWITCH = "commit_faults"
_TABLES = (
    "events",
    "directory",
    "credentials",
    "idempotency_keys",
    "webhook_secrets",
    "webhook_deliveries",
)

# SECURITY DEFINER: the application's role must not be able to see the switch.
_INSTALL = f"""
CREATE TABLE {SWITCH} (code text, delay_ms int NOT NULL);
INSERT INTO {SWITCH} VALUES (NULL, 0);
CREATE FUNCTION fail_at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    fault public.{SWITCH};
BEGIN
    SELECT * INTO fault FROM public.{SWITCH};
    IF fault.code IS NOT NULL THEN
        RAISE EXCEPTION 'made to fail at commit' USING ERRCODE = fault.code;
    END IF;
    PERFORM pg_sleep(random() * fault.delay_ms / 1000.0);
    RETURN NULL;
END $$;
"""
_TRIGGER = """
CREATE CONSTRAINT TRIGGER fail_at_commit AFTER INSERT OR UPDATE OR DELETE ON {0}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail_at_commit();
"""
_REMOVE = f"DROP FUNCTION IF EXISTS fail_at_commit CASCADE; DROP TABLE IF EXISTS {SWITCH}"


class CommitFaults:
    """The switch. While it is on, everything goes well in a transaction, but for its commit."""

    def __init__(self, owner: Connection) -> None:
        self._owner = owner

    async def fail(self, code: str | None = "P0001") -> None:
        """Raise an error of this SQLSTATE at every commit; None: at none."""
        await self._owner.execute(f"UPDATE {SWITCH} SET code = $1", code)

    async def delay(self, milliseconds: int) -> None:
        """Hold up every commit for a random while, up to this, per row that was written."""
        await self._owner.execute(f"UPDATE {SWITCH} SET delay_ms = $1", milliseconds)


@asynccontextmanager
async def commit_faults(place: Place) -> AsyncIterator[CommitFaults]:
    """The switch, installed and off; removed in the end."""
    async with place.owner() as owner:
        await owner.execute(_REMOVE)
        await owner.execute(_INSTALL)
        try:
            for table in _TABLES:
                await owner.execute(_TRIGGER.format(table))
            yield CommitFaults(owner)
        finally:
            await owner.execute(_REMOVE)
