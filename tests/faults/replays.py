"""Large ledgers: rebuilt rows are the live ones, and the past is what a plain fold says it was.

Events are made by real commands through the application layer, in large transactions.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.database import open_pool
from app.domain.check_in import CheckInTerms
from app.domain.check_in_commands import CorrectCheckIn, RecordCheckIn, RetractCheckIn
from app.domain.team import RenameTeam
from app.events.envelope import Meta
from app.events.statements import Connection
from app.projections.check_ins import CheckInRow
from app.projections.key_results import KeyResultRow
from app.projections.teams import TeamRow
from tests import server
from tests.faults.cluster import Place
from tests.faults.ledgers import fingerprint, gaps, head
from tests.faults.load import made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.sizes import Sizes

_STREAMS = 20
_BATCH = 250
_FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_META = Meta("operator/torture", "torture", UUID(int=7))


async def replays(place: Place, sizes: Sizes, seed: int, step: Step) -> Outcome:
    """Ledgers of many events; then `okr rebuild`, `okr verify`, and looks at random moments."""
    what = (
        f"{sizes.replay_ledgers} ledgers of {sizes.replay_events} events: `okr rebuild` changes "
        f"no row, `okr verify` agrees, {sizes.as_of_points} past moments of each are a plain fold's"
    )
    outcome = Outcome("10: replay == live state", what, seed)
    rng = random.Random(seed)
    async with await open_pool(place.database.url, size=2, command_timeout=300) as pool:
        for round_ in range(sizes.replay_ledgers):
            # Of its own, so that what is kept of one ledger's past is not kept for all.
            ledgers = Ledgers(pool)
            ledger = await made_ledger(place, _STREAMS)
            org = ledger.api.org
            team = (await _teams(ledgers, org))[0]
            await _fill(ledgers, org, team, ledger.streams, sizes.replay_events, rng)
            async with place.owner() as owner:
                outcome.acknowledged += await head(owner, org)
                wrong = await gaps(owner, org)
                wrong += await _past(ledgers, owner, org, sizes.as_of_points, rng)
                wrong += await _rebuilt(place, owner, org)
            demand(wrong, scenario="replays", seed=seed, round_=round_)
            outcome.rounds += 1
            step()
    return outcome


async def _teams(ledgers: Ledgers, org: str) -> list[UUID]:
    async with ledgers.read(UUID(org)) as reader:
        return [row.team_id for row in await reader.rows.select(TeamRow)]


# Making events ----------------------------------------------------------------------------


async def _fill(
    ledgers: Ledgers,
    org: str,
    team: UUID,
    streams: tuple[str, ...],
    events: int,
    rng: random.Random,
) -> None:
    """Bring a ledger to that many events: check-ins, corrections, retractions, renamed teams."""
    standing: list[tuple[UUID, UUID]] = []

    async def batch(unit: UnitOfWork) -> None:
        for _ in range(min(_BATCH, events - unit.position)):
            await unit.execute(_any_command(standing, team, streams, rng))

    position = 0
    while position < events:
        await ledgers.run(UUID(org), _META, batch)
        async with ledgers.read(UUID(org)) as reader:
            position = reader.position


def _any_command(
    standing: list[tuple[UUID, UUID]], team: UUID, streams: tuple[str, ...], rng: random.Random
) -> Any:
    """The next command; `standing` are the check-ins that can be corrected or retracted."""
    dice = rng.random()
    if dice < 0.02:
        return RenameTeam(team_id=team, name=f"Growth {rng.randrange(10**6)}")
    if dice < 0.06 and standing:
        key_result, check_in = standing.pop(rng.randrange(len(standing)))
        return RetractCheckIn(key_result_id=key_result, check_in_id=check_in, reason="Not so.")
    if dice < 0.12 and standing:
        key_result, check_in = rng.choice(standing)
        return CorrectCheckIn(
            key_result_id=key_result,
            check_in_id=check_in,
            terms=_any_terms(rng),
            occurred_at=_any_moment(rng),
            reason="It was another.",
        )
    key_result, check_in = UUID(rng.choice(streams)), uuid7()
    standing.append((key_result, check_in))
    return RecordCheckIn(
        key_result_id=key_result,
        check_in_id=check_in,
        terms=_any_terms(rng),
        occurred_at=_any_moment(rng),
    )


def _any_terms(rng: random.Random) -> CheckInTerms:
    confidence = rng.choice((None, Decimal(rng.randrange(101)) / 100))
    return CheckInTerms(value=Decimal(rng.randrange(100, 200)), confidence=confidence)


def _any_moment(rng: random.Random) -> datetime:
    """One of so few that two check-ins often speak of the same one."""
    return _FIRST_DAY + timedelta(hours=rng.randrange(24 * 80))


# Looking back -----------------------------------------------------------------------------


@dataclass
class _Said:
    """A check-in, in a fold as anybody would write it."""

    key_result: str
    value: Decimal
    confidence: Decimal | None
    occurred_at: datetime
    retracted: bool = False


@dataclass
class _Fold:
    """What events say, from nothing but their text."""

    check_ins: dict[str, _Said] = field(default_factory=dict)
    team: str = ""

    def apply(self, type_: str, data: dict[str, Any]) -> None:
        match type_:
            case "check_in.recorded" | "check_in.corrected":
                terms = data["terms"]
                confidence = terms.get("confidence")
                self.check_ins[data["check_in_id"]] = _Said(
                    data["key_result_id"],
                    Decimal(str(terms["value"])),
                    None if confidence is None else Decimal(str(confidence)),
                    datetime.fromisoformat(data["occurred_at"]),
                )
            case "check_in.retracted":
                self.check_ins[data["check_in_id"]].retracted = True
            case "team.formed" | "team.renamed":
                self.team = data["name"]

    def last_words(self) -> dict[str, tuple[Decimal | None, Decimal | None]]:
        """Value and confidence of each key result: of the latest moment, the last told."""
        words: dict[str, tuple[Decimal | None, Decimal | None]] = {}
        # A sort keeps the order of those that are equal.
        for said in sorted(self.check_ins.values(), key=lambda said: said.occurred_at):
            if not said.retracted:
                before = words.get(said.key_result, (None, None))
                confidence = before[1] if said.confidence is None else said.confidence
                words[said.key_result] = (said.value, confidence)
        return words


async def _past(
    ledgers: Ledgers, owner: Connection, org: str, points: int, rng: random.Random
) -> list[str]:
    """Where looks at random positions differ from a fold up to them."""
    last = await head(owner, org)
    wrong: list[str] = []
    fold, folded = _Fold(), 0
    for position in sorted(rng.sample(range(10, last + 1), points)):
        rows = await owner.fetch(
            "SELECT type, data::text FROM events "
            "WHERE org_id = $1 AND position > $2 AND position <= $3 ORDER BY position",
            UUID(org),
            folded,
            position,
        )
        for row in rows:
            fold.apply(row["type"], json.loads(row["data"]))
        folded = position
        async with ledgers.read(UUID(org), as_of=position) as reader:
            check_ins = await reader.rows.select(CheckInRow)
            key_results = await reader.rows.select(KeyResultRow)
            (team,) = await reader.rows.select(TeamRow)
        shown = {
            str(row.check_in_id): _Said(
                str(row.key_result_id),
                _some(row.value),
                row.confidence,
                row.occurred_at,
                row.retracted,
            )
            for row in check_ins
        }
        words = fold.last_words()
        here = f"as of {position} of {org}"
        if shown != fold.check_ins:
            differ = [id for id in shown if shown[id] != fold.check_ins.get(id)]
            wrong.append(f"{here}: {len(differ)} check-ins differ, {differ[:3]}")
        if team.name != fold.team:
            wrong.append(f"{here}: the team is {team.name}, the fold says {fold.team}")
        wrong += (
            f"{here}: key result {row.key_result_id} is at {row.value} and {row.confidence}, "
            f"the fold says {words.get(str(row.key_result_id))}"
            for row in key_results
            if (row.value, row.confidence) != words.get(str(row.key_result_id), (None, None))
        )
    return wrong


def _some(value: Decimal | None) -> Decimal:
    assert value is not None
    return value


# Rebuilding -------------------------------------------------------------------------------


async def _rebuilt(place: Place, owner: Connection, org: str) -> list[str]:
    """What `okr rebuild` changed of any row, and what `okr verify` says, each a process."""
    wrong = []
    # That what is kept of rows is to be made anew is told by the ledger's row.
    before, stood = await fingerprint(owner, without=("ledgers",)), await head(owner, org)
    for command in ("rebuild", "verify"):
        status, said = await asyncio.to_thread(
            server.run,
            place.folder,
            command,
            "--organization",
            org,
            DATABASE_URL=place.database.url,
        )
        if status:
            wrong.append(f"okr {command} of {org} ended with {status}: {said[-2000:]}")
    if (stands := await head(owner, org)) != stood:
        wrong.append(f"okr rebuild of {org} moved the head from {stood} to {stands}")
    after = await fingerprint(owner, without=("ledgers",))
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        wrong.append(f"okr rebuild of {org} changed rows of {changed}")
    return wrong
