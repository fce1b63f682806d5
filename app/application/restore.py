"""Taking a ledger in from a bundle: as it was kept, event by event and hash by hash."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from app.application import replay
from app.application.bundle_format import NotABundle, Opening, event_of, parts_of
from app.application.ledgers import Ledgers
from app.events import store
from app.events.envelope import Recorded
from app.events.statements import Connection
from app.evidence.merkle import Frontier
from app.evidence.notes import Checkpoint, text_of

_AT_ONCE = 500


class NotRestorable(Exception):
    """The bundle cannot be taken in, and nothing of it was; the message says why."""


async def restore(ledgers: Ledgers, lines: Iterable[bytes]) -> tuple[UUID, int]:
    """Take in a whole ledger that is not here yet, in one transaction; how many events it has.

    Ids, positions, times and hashes stay what they were. The events must be those under the
    bundle's checkpoint; whose signature that is, `okr audit` tells. Raises NotRestorable,
    NotABundle, NotANote.
    """
    parts = parts_of(lines)
    whole = Opening.read(parts)
    if whole.cycle_id is not None:
        raise NotRestorable(
            "Only a bundle of a whole ledger can be taken in, and not one of a cycle."
        )
    signed = Checkpoint.parse(text_of(whole.note))

    async def work(conn: Connection) -> int:
        await store.as_organization(conn, whole.org_id)
        if await conn.fetchval("SELECT 1 FROM ledgers WHERE org_id = $1", whole.org_id):
            raise NotRestorable(f"There is a ledger of organisation {whole.org_id} here already.")
        await store.create_ledger(conn, whole.org_id)
        frontier = Frontier()
        head = await store.lock_head(conn, whole.org_id)
        for batch in _batches(_content(whole.org_id, parts)):
            keys = [one for one in batch if not isinstance(one, Recorded)]
            for author, key in keys:
                await conn.execute(
                    "INSERT INTO text_keys (org_id, author, key) VALUES ($1, $2, $3)",
                    whole.org_id,
                    author,
                    key,
                )
            events = [one for one in batch if isinstance(one, Recorded)]
            for recorded in events:
                frontier.add(recorded.leaf_hash())
                if recorded.position != frontier.size:
                    raise NotRestorable(
                        f"Event {recorded.position} stands where {frontier.size} must."
                    )
            if events:
                await store.append(conn, head, events)
                head = await store.lock_head(conn, whole.org_id)
        if (frontier.size, frontier.root()) != (signed.size, signed.root):
            raise NotRestorable("The events are not those that were signed; run `okr audit` on it.")
        await replay.rebuild(conn, whole.org_id)
        return frontier.size

    return whole.org_id, await ledgers.in_transaction(work)


def _content(
    org_id: UUID, parts: Iterator[dict[str, Any]]
) -> Iterator[Recorded | tuple[str, bytes]]:
    """Events and keys of free text, up to the end. Raises NotRestorable."""
    for part in parts:
        try:
            if "event" in part:
                yield event_of(org_id, part["event"])
            elif "text_key" in part:
                told = part["text_key"]
                yield str(told["author"]), base64.b64decode(told["key"], validate=True)
            elif "end" in part:
                return
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise NotABundle(f"a line cannot be read: {error!r}") from error
    raise NotABundle("it breaks off: its last line is not its end")


def _batches(items: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(itertools.islice(items, _AT_ONCE)):
        yield batch
