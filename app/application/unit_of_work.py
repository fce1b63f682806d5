"""One piece of work on one ledger: commands are decided here, and nothing reaches around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlmodel import SQLModel
from uuid_utils.compat import uuid7

from app.application.authority import GRANTED_BY, Leave, grants_of
from app.application.facts import look_up
from app.application.keys import Caller
from app.application.states import Kept, Versioned
from app.domain.access import Grant, Scope
from app.domain.catalog import DECIDERS, STREAMS
from app.domain.messages import Command, Event, Stream, lookups
from app.domain.values import ExternalRef
from app.events import store
from app.events.codec import encode
from app.events.envelope import Meta, Recorded
from app.events.statements import Connection, Part
from app.events.store import Head, WrongExpectedVersion
from app.events.texts import Texts
from app.projections.changes import Change, Insert, Key, Row, place_of, values_of
from app.projections.external_ids import ExternalIdRow
from app.projections.registry import project
from app.projections.rows import PostgresRows, Where, record, ties_of
from app.projections.writing import writing

R = TypeVar("R", bound=SQLModel)
_Name = tuple[str, str, str]


@dataclass(slots=True)
class Noted:
    """What was decided and is not written yet: events, and the changes of rows that they make."""

    events: list[Recorded] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    tables: set[Row] = field(default_factory=set)
    rows: dict[tuple[Row, Key], SQLModel | None] = field(default_factory=dict)
    """Rows that are new, and None for those that were there, or were changed once more."""
    inserted: dict[Row, list[SQLModel]] = field(default_factory=dict)
    changed: set[Row] = field(default_factory=set)
    """Tables in which not only new rows were noted."""

    def add(self, recorded: Recorded, changes: Sequence[Change]) -> None:
        self.events.append(recorded)
        self.changes += changes
        for change in changes:
            table, key = place_of(change)
            self.tables.add(table)
            is_new = isinstance(change, Insert) and (table, key) not in self.rows
            self.rows[table, key] = change.row if is_new else None  # type: ignore[union-attr]
            if is_new:
                self.inserted.setdefault(table, []).append(change.row)  # type: ignore[union-attr]
            else:
                self.changed.add(table)

    def join(self, later: Noted) -> None:
        self.events += later.events
        self.changes += later.changes
        self.tables |= later.tables
        self.changed |= later.changed
        for table, rows in later.inserted.items():
            self.inserted.setdefault(table, []).extend(rows)
        self.rows |= {
            place: None if place in self.rows else row for place, row in later.rows.items()
        }


class OpenLedger:
    """A ledger whose lock a transaction holds: its head, what is kept of it, and what is noted.

    The units of work on it come one after the other, each on top of those that were settled.
    """

    def __init__(
        self, conn: Connection, head: Head, texts: Texts, kept: Kept, *, has_moved: bool
    ) -> None:
        self.conn = conn
        self.has_moved = has_moved
        """Whether another process may have written to it since this one did."""
        self.head = head
        self.texts = texts
        self.kept = kept
        self.fresh: dict[Stream, Versioned] = {}
        """What this transaction read or changed."""
        self.named: dict[_Name, UUID | None] = {}
        self.grants = kept.grants
        """Of callers, as of what is settled; never changed in place: the transaction may fail."""
        self.noted = Noted()
        self.last = head.position
        """The last position, what is noted included."""
        self._last_event = head.event_id
        self.written = head.position
        """Up to which position the events are in the database."""

    @property
    def org_id(self) -> UUID:
        return self.texts.org_id

    @property
    def has_grown(self) -> bool:
        return self.last > self.head.position

    @property
    def head_after(self) -> Head:
        """What the head is once this is committed."""
        return Head(self.last, self.head.at, self.texts.version_after, self._last_event)

    def state(self, stream: Stream) -> Versioned | None:
        """None for what was not read yet."""
        return self.fresh.get(stream) or self.kept.streams.get(stream)

    async def read(self, category: str, streams: Sequence[Stream]) -> None:
        """Fold streams from their first event on."""
        decider = STREAMS[category]
        found: dict[Stream, Versioned] = dict.fromkeys(streams, (decider.initial, 0))
        since = {stream.id: 0 for stream in streams}
        async for recorded in store.read_streams(self.conn, self.texts, category, since):
            state, _ = found[recorded.stream]
            found[recorded.stream] = decider.evolve(state, recorded.event), recorded.version
        self.fresh |= found

    def settle(self, noted: Noted, granted: Mapping[Caller, tuple[Grant, ...]]) -> None:
        """What a unit of work noted stands, as far as this transaction goes.

        `granted` is what it read of callers before it noted that.
        """
        if noted.events:
            self.last, self._last_event = noted.events[-1].position, noted.events[-1].event_id
        if GRANTED_BY & noted.tables:
            self.grants = {}
        elif granted:
            self.grants = {**self.grants, **granted}
        self.noted.join(noted)


async def flush_all(
    conn: Connection, ledgers: Sequence[OpenLedger], others: Sequence[Part] = ()
) -> None:
    """Append what is noted and change the rows, with `others`: as one statement.

    A failing projection fails the transaction.
    """
    noted = [ledger for ledger in ledgers if ledger.noted.events]
    changes = writing({one.org_id: one.noted.changes for one in noted})
    grown = [(one.written, one.noted.events) for one in noted]
    await store.append_all(conn, grown, [*changes, *others])
    for one in noted:
        one.written, one.noted = one.last, Noted()


class UnitOfWork:
    """Decides commands under the ledger's lock, and notes their events.

    A refused command raises before anything of it is noted down, so that the ones before and
    after it stand. Without `leave` it is the program itself that acts.
    """

    def __init__(self, ledger: OpenLedger, meta: Meta) -> None:
        self.org_id = ledger.org_id
        self.texts = ledger.texts
        self.meta = meta
        self.leave: Leave | None = None
        self.has_written = False
        """Whether more than what is noted would have to be undone."""
        self._ledger = ledger
        self._changed: dict[Stream, Versioned] = {}
        self._named: dict[_Name, UUID | None] = {}
        self._granted: dict[Caller, tuple[Grant, ...]] = {}
        self._noted = Noted()
        self._last = ledger.last

    @property
    def conn(self) -> Connection:
        """The transaction itself, for what is kept beside the ledger."""
        self.has_written = True
        return self._ledger.conn

    @property
    def at(self) -> datetime:
        """The moment of this transaction, by the ledger's clock."""
        return self._ledger.head.at

    @property
    def position(self) -> int:
        """The last position of the ledger, what is noted included."""
        return self._last

    def new_id(self, category: str) -> UUID:
        """A fresh UUIDv7, remembered as the id of a stream that has no events yet."""
        fresh = uuid7()
        self._changed[Stream(category, fresh)] = (STREAMS[category].initial, 0)
        return fresh

    async def admit(self, caller: Caller, scope: Scope) -> None:
        """Have every command that follows judged by a caller's roles. Raises OutOfReach."""
        # The lock is held: nobody else changes what they may do.
        granted = self._ledger.grants.get(caller)
        if granted is None:
            granted = self._granted[caller] = await grants_of(await self.rows(), caller)
        self.leave = Leave(caller, scope, granted)
        self.leave.require_scope()

    async def state(self, category: str, id: UUID) -> Any:
        """The state of an aggregate, what is noted included."""
        return (await self._load(Stream(category, id)))[0]

    async def states(self, category: str, ids: Sequence[UUID]) -> list[Any]:
        """The states of several aggregates of one category, in one round trip."""
        streams = [Stream(category, id) for id in ids]
        unread = [stream for stream in dict.fromkeys(streams) if self._known(stream) is None]
        if unread:
            await self._ledger.read(category, unread)
        return [(await self._load(stream))[0] for stream in streams]

    async def named(self, kind: str, refs: Sequence[ExternalRef]) -> list[UUID | None]:
        """What other systems' ids were recorded as, in one round trip; None for what is new."""
        keys = [(kind, ref.source, ref.external_id) for ref in refs]
        # As with states: the lock is held, so that nobody else names anything meanwhile.
        known = self._ledger.named
        unread = [key for key in dict.fromkeys(keys) if key not in known]
        if unread:
            found = await self._ledger.conn.fetch(
                "SELECT source, external_id, id FROM external_ids "
                "JOIN unnest($3::text[], $4::text[]) AS asked (source, external_id) "
                "USING (source, external_id) WHERE org_id = $1 AND kind = $2",
                self.org_id,
                kind,
                [source for _, source, _ in unread],
                [id for _, _, id in unread],
            )
            known |= dict.fromkeys(unread)
            known |= {(kind, row["source"], row["external_id"]): row["id"] for row in found}
        return [self._named.get(key) or known[key] for key in keys]

    def _known(self, stream: Stream) -> Versioned | None:
        return self._changed.get(stream) or self._ledger.state(stream)

    async def _load(self, stream: Stream) -> Versioned:
        known = self._known(stream)
        if known is None:
            await self._ledger.read(stream.category, [stream])
            known = self._ledger.fresh[stream]
        return known

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
        key = await self.texts.key_for(self._ledger.conn, author)
        seal = self.texts.sealer(author, key)
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
        changes = list(project(recorded))
        self._changed[stream] = (STREAMS[stream.category].evolve(state, event), version + 1)
        self._noted.add(recorded, changes)
        # Names count from the moment they are given: a batch may give one twice.
        for change in changes:
            if isinstance(change, Insert) and isinstance(change.row, ExternalIdRow):
                row = change.row
                self._named[row.kind, row.source, row.external_id] = row.id
        return recorded

    def settle(self) -> None:
        """The work is done, and was not refused: what it noted stands."""
        self._ledger.settle(self._noted, self._granted)
        self._noted, self._granted = Noted(), {}
        self._ledger.fresh.update(self._changed)
        self._ledger.named.update(self._named)
        # They are the ledger's now: to hand them over each time would take ever longer.
        self._changed, self._named = {}, {}

    async def flush(self) -> None:
        """Write what is noted; from then on it cannot be taken back alone."""
        self.has_written = self.has_written or bool(self._noted.events)
        self.settle()
        await flush_all(self._ledger.conn, [self._ledger])

    @property
    def noted(self) -> tuple[Noted, Noted]:
        """What is not written yet, of this work and of those before it, the latest first."""
        return self._noted, self._ledger.noted

    async def rows(self) -> LiveRows:
        """The read models of this transaction, what is noted included."""
        return LiveRows(self, self._ledger)


class LiveRows(PostgresRows):
    """Rows as they are in a transaction. What is noted is written when it would be missed."""

    def __init__(self, unit: UnitOfWork, ledger: OpenLedger) -> None:
        super().__init__(ledger.conn, unit.org_id)
        self._unit = unit

    async def get(self, table: type[R], *key: Any) -> R | None:
        for noted in self._unit.noted:
            if (table, key) in noted.rows:
                row = noted.rows[table, key]
                if row is not None:
                    # All there is of it was noted just now.
                    return record(table, values_of(row))
                await self._unit.flush()
        return await super().get(table, *key)

    async def select(
        self,
        table: type[R],
        where: Where | None = None,
        *,
        after: int = 0,
        limit: int | None = None,
    ) -> list[R]:
        own, before = self._unit.noted
        new = [*before.inserted.get(table, ()), *own.inserted.get(table, ())]
        is_page = after or limit is not None or ties_of(table)
        if (new and (is_page or len(new) > _MOST_ADDED)) or table in own.changed | before.changed:
            await self._unit.flush()
            new = []
        found = await super().select(table, where, after=after, limit=limit)
        # Whatever was noted comes after whatever is written.
        return found + [
            record(table, values_of(row))
            for row in new
            if all(_meets(vars(row)[name], wanted) for name, wanted in (where or {}).items())
        ]


_MOST_ADDED = 50
"""New rows that are looked through, before it is quicker to write them."""


def _meets(value: Any, wanted: Any) -> bool:
    """As `select` has it in Postgres: None is nothing, and a list is one of them."""
    return value in wanted if isinstance(wanted, list | tuple) else value == wanted
