"""What is kept between transactions is never believed against the ledger."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from app.application.keys import Caller
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.database import Pool
from app.domain.access import Role, Scope
from app.domain.errors import OutOfReach
from app.domain.messages import Command
from app.domain.organization import FoundOrganization
from app.domain.person import RegisterPerson
from app.domain.roles import GrantRole, WithdrawRole
from app.domain.team import FormTeam, RenameTeam
from app.events.envelope import Meta, Recorded


async def _do(ledgers: Ledgers, org_id: UUID, command: Command) -> list[Recorded]:
    async def work(unit: UnitOfWork) -> list[Recorded]:
        return await unit.execute(command)

    return await ledgers.run(org_id, Meta("operator/test", "test", uuid7()), work)


async def test_another_process_is_heard_of_what_it_appended(
    ledgers: Ledgers, founded: UUID
) -> None:
    other, team = Ledgers(ledgers.pool), uuid7()
    await _do(ledgers, founded, FormTeam(team_id=team, name="One"))
    for writer, name, version in ((other, "Two", 2), (ledgers, "Three", 3), (other, "Four", 4)):
        (renamed,) = await _do(writer, founded, RenameTeam(team_id=team, name=name))
        assert renamed.version == version
    assert await _do(ledgers, founded, RenameTeam(team_id=team, name="Four")) == []


async def test_a_ledger_that_lost_its_last_events_is_believed_and_not_what_was_kept(
    ledgers: Ledgers, founded: UUID, owner: asyncpg.Connection[asyncpg.Record]
) -> None:
    """As after a restore, or the promotion of a standby that was behind."""
    team = uuid7()
    await _do(ledgers, founded, FormTeam(team_id=team, name="One"))
    (lost,) = await _do(ledgers, founded, RenameTeam(team_id=team, name="Two"))
    # What was kept is brought up to the event that will be lost.
    assert await _do(ledgers, founded, RenameTeam(team_id=team, name="Two")) == []
    async with owner.transaction():
        await owner.execute("ALTER TABLE events DISABLE TRIGGER USER")
        await owner.execute(
            "DELETE FROM events WHERE org_id = $1 AND position = $2", founded, lost.position
        )
        await owner.execute("ALTER TABLE events ENABLE TRIGGER USER")
        await owner.execute(
            "UPDATE ledgers SET head = $2 WHERE org_id = $1", founded, lost.position - 1
        )
        await owner.execute("UPDATE teams SET name = 'One', version = 1 WHERE org_id = $1", founded)
    (again,) = await _do(ledgers, founded, RenameTeam(team_id=team, name="Two"))
    assert (again.position, again.version) == (lost.position, 2)


async def test_what_callers_may_do_is_not_believed_once_it_was_changed(
    ledgers: Ledgers, founded: UUID
) -> None:
    """By this process or by another, or in a transaction that is rolled back."""
    other, ada = Ledgers(ledgers.pool), uuid7()
    await _do(ledgers, founded, RegisterPerson(person_id=ada))
    caller = Caller(
        f"person/{ada}", "key/1", frozenset(Scope), frozenset({founded}), b"", person_id=ada
    )
    grant = GrantRole(person_id=ada, role=Role.ADMIN, held=frozenset(Scope))
    withdraw = WithdrawRole(person_id=ada, role=Role.ADMIN)

    async def is_admitted(by: Ledgers) -> bool:
        async def work(unit: UnitOfWork) -> bool:
            try:
                await unit.admit(caller, Scope.DEPLOYMENT_WRITE)
            except OutOfReach:
                return False
            return True

        return await by.run(founded, Meta("operator/test", "test", uuid7()), work)

    for changing in (ledgers, other):
        for command, admitted in ((grant, True), (withdraw, False)):
            await _do(changing, founded, command)
            for asked in (ledgers, other, ledgers):
                assert await is_admitted(asked) is admitted

    async def granted_in_vain(unit: UnitOfWork) -> None:
        await unit.execute(grant)
        await unit.flush()
        await unit.admit(caller, Scope.DEPLOYMENT_WRITE)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ledgers.run(founded, Meta("operator/test", "test", uuid7()), granted_in_vain)
    assert not await is_admitted(ledgers)


async def test_what_is_kept_is_bounded_by_the_events_in_it(
    pool: Pool,
) -> None:
    ledgers = Ledgers(pool, most_folded=40)
    orgs, kept = [await _founded(ledgers) for _ in range(4)], ledgers._states._kept
    team = uuid7()
    for org_id in orgs:
        await _do(ledgers, org_id, FormTeam(team_id=team, name="Team"))
    for number in range(60):
        # The first has far more than its share, and by itself more than there may be.
        org_id = orgs[0] if number % 3 else orgs[number % 4]
        await _do(ledgers, org_id, RenameTeam(team_id=team, name=f"{number}"))
        counted = {
            id: sum(version + 1 for _, version in one.streams.values()) for id, one in kept.items()
        }
        assert counted == {id: one.folded for id, one in kept.items()}
        assert sum(counted.values()) == ledgers._states._folded
        assert org_id in counted
        assert sum(counted.values()) <= 40 or list(counted) == [org_id]
    other = Ledgers(pool)
    (last,) = await _do(other, orgs[0], RenameTeam(team_id=team, name="by another process"))
    (next,) = await _do(ledgers, orgs[0], RenameTeam(team_id=team, name="by this one"))
    assert next.version == last.version + 1
    assert ledgers._states._folded == sum(one.folded for one in kept.values())


async def _founded(ledgers: Ledgers) -> UUID:
    org_id = uuid7()

    async def found(unit: UnitOfWork) -> None:
        await unit.execute(FoundOrganization(organization_id=org_id, name="Test"))

    await ledgers.run(org_id, Meta("operator/test", "test", uuid7()), found, founding=True)
    return org_id
