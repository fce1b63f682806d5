"""One transaction on one ledger: commands are decided here, and nothing reaches around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app.application.authority import Leave
from app.application.facts import look_up
from app.application.states import Kept, States
from app.domain.catalog import DECIDERS, STREAMS
from app.domain.messages import Command, Event, Stream, lookups
from app.domain.values import ExternalRef
from app.events import store
from app.events.codec import encode
from app.events.envelope import Meta, Recorded
from app.events.store import Connection, Head, WrongExpectedVersion
from app.events.texts import Texts
from app.projections import external_ids
from app.projections.changes import Insert
from app.projections.external_ids import ExternalIdRow
from app.projections.registry import project
from app.projections.rows import PostgresRows, write


class UnitOfWork:
    """Decides commands under the ledger's lock, and writes their events when flushed.

    A refused command raises before anything of it is noted down, so that the ones before and
    after it stand. Without `leave` it is the program itself that acts.
    """

    def __init__(
        self, conn: Connection, meta: Meta, head: Head, texts: Texts, known: States
    ) -> None:
        self.conn = conn
        self.org_id = texts.org_id
        self.texts = texts
        self.meta = meta
        self.leave: Leave | None = None
        self._head = head
        self._known = known
        self._states: dict[Stream, tuple[Any, int]] = {}
        self._named: dict[tuple[str, str, str], UUID | None] = {}
        self._pending: list[Recorded] = []
        self._last = head.position

    @property
    def at(self) -> datetime:
        """The moment of this transaction, by the ledger's clock."""
        return self._head.at

    @property
    def position(self) -> int:
        """The last position of the ledger, what is pending included."""
        return self._last

    def new_id(self, category: str) -> UUID:
        """A fresh UUIDv7, remembered as the id of a stream that has no events yet."""
        fresh = uuid7()
        self._states[Stream(category, fresh)] = (STREAMS[category].initial, 0)
        return fresh

    async def state(self, category: str, id: UUID) -> Any:
        """The state of an aggregate, what is pending included."""
        return (await self._load(Stream(category, id)))[0]

    async def states(self, category: str, ids: Sequence[UUID]) -> list[Any]:
        """The states of several aggregates of one category, in one round trip."""
        streams = [Stream(category, id) for id in ids]
        # What this transaction appends is never read back: it is in `_states` already.
        unread = [stream for stream in streams if stream not in self._states]
        lost = await self._read(category, unread, with_kept=True)
        await self._read(category, lost, with_kept=False)
        return [self._states[stream][0] for stream in streams]

    async def _read(
        self, category: str, streams: Sequence[Stream], *, with_kept: bool
    ) -> list[Stream]:
        """Fold streams, onto what is kept of them if so; answers with those it does not fit."""
        if not streams:
            return []
        found = {stream: self._known.get(self.org_id, stream) for stream in streams}
        keys = self._head.text_keys_version
        kept = {
            stream: one if with_kept and one and one.text_keys_version == keys else None
            for stream, one in found.items()
        }
        # From the last event that was folded, to see that it is still the same.
        since = {stream.id: one.version - 1 if one else 0 for stream, one in kept.items()}
        read = await store.read_streams(self.conn, self.texts, category, since)
        lost = []
        for stream, one in kept.items():
            events = read[stream.id]
            if one is not None:
                if not events or events[0].event_id != one.event_id:
                    lost.append(stream)
                    continue
                del events[0]
            state = STREAMS[category].fold(
                [recorded.event for recorded in events], onto=one and one.state
            )
            version = (one.version if one else 0) + len(events)
            self._states[stream] = (state, version)
            if events:
                fresh = Kept(state, version, events[-1].event_id, keys)
                self._known.keep(self.org_id, stream, fresh)
        return lost

    async def named(self, kind: str, refs: Sequence[ExternalRef]) -> list[UUID | None]:
        """What other systems' ids were recorded as, in one round trip; None for what is new."""
        keys = [(kind, ref.source, ref.external_id) for ref in refs]
        # As with states: the lock is held, so that nobody else names anything meanwhile.
        unread = [key for key in dict.fromkeys(keys) if key not in self._named]
        if unread:
            found = await self.conn.fetch(
                "SELECT source, external_id, id FROM external_ids "
                "JOIN unnest($3::text[], $4::text[]) AS asked (source, external_id) "
                "USING (source, external_id) WHERE org_id = $1 AND kind = $2",
                self.org_id,
                kind,
                [source for _, source, _ in unread],
                [id for _, _, id in unread],
            )
            self._named |= dict.fromkeys(unread)
            self._named |= {(kind, row["source"], row["external_id"]): row["id"] for row in found}
        return [self._named[key] for key in keys]

    async def _load(self, stream: Stream) -> tuple[Any, int]:
        if stream not in self._states:
            await self.states(stream.category, [stream.id])
        return self._states[stream]

    async def execute(self, command: Command, *, expected: int | None = None) -> list[Recorded]:
        """Decide a command and note its events.

        Raises OutOfReach, any other Refusal, WrongExpectedVersion.

        `expected` is the version that the caller saw of the command's stream.
        """
        stream = command.stream
        await self.expect(stream, expected)
        state, _ = await self._load(stream)
        covered = self.leave is None or await self.leave.covers(self, command, state)
        if self.leave and covered is False:
            raise self.leave.refusal(command, state)
        facts = {
            name: await look_up(self, lookup.name, lookup.by(state, command))
            for name, lookup in lookups(command).items()
        }
        complete: Any = replace(command, at=self.at, **facts)
        events = DECIDERS[type(command)].decide(state, complete)
        if self.leave and not covered:
            # Nobody known is concerned, and the decision did not refuse that: nobody may.
            raise self.leave.refusal(command, state)
        return [await self._note(event) for event in events]

    async def expect(self, stream: Stream, version: int | None) -> None:
        """Raise WrongExpectedVersion unless the stream is there; None means any version."""
        _, actual = await self._load(stream)
        if version is not None and version != actual:
            raise WrongExpectedVersion(stream, version, actual)

    async def _note(self, event: Event) -> Recorded:
        stream = event.stream
        state, version = await self._load(stream)
        author = self.meta.actor
        seal = self.texts.sealer(author, await self.texts.key_for(self.conn, author))
        self._last += 1
        recorded = Recorded(
            org_id=self.org_id,
            position=self._last,
            stream=stream,
            version=version + 1,
            event_id=uuid7(),
            type=event.type_name,
            schema_version=event.schema_version,
            cycle_id=getattr(event, "cycle_id", None),
            data=encode(event, seal),
            meta=self.meta,
            occurred_at=getattr(event, "occurred_at", self.at),
            recorded_at=self.at,
            told=event,
        )
        self._states[stream] = (STREAMS[stream.category].evolve(state, event), version + 1)
        self._pending.append(recorded)
        # Names count from the moment they are given: a batch may give one twice.
        for change in external_ids.project(recorded):
            if isinstance(change, Insert) and isinstance(change.row, ExternalIdRow):
                row = change.row
                self._named[row.kind, row.source, row.external_id] = row.id
        return recorded

    async def flush(self) -> None:
        """Append what is pending and project it. A failing projection fails the transaction."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        await store.append(self.conn, self._head, pending)
        self._head = replace(self._head, position=pending[-1].position)
        await write(
            self.conn, self.org_id, (change for event in pending for change in project(event))
        )

    async def rows(self) -> PostgresRows:
        """The read models of this transaction, what was pending included."""
        await self.flush()
        return PostgresRows(self.conn, self.org_id)
