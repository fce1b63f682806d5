"""Rows of a transaction: what is noted and not written yet is found as if it were."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.domain.team import DisbandTeam, FormTeam, RenameTeam
from app.events.envelope import Meta
from app.projections.external_ids import ExternalIdRow
from app.projections.teams import TeamRow

_ASKED: list[tuple[dict[str, Any] | None, dict[str, Any]]] = [
    (None, {}),
    ({"name": "Team 3"}, {}),
    ({"name": ["Team 1", "Team 5", "Nobody"]}, {}),
    ({"parent_id": None}, {}),
    ({"active": True, "name": "Team 2"}, {}),
    ({"active": False}, {}),
    (None, {"limit": 3}),
    (None, {"after": 4}),
    ({"active": True}, {"after": 3, "limit": 2}),
]


@pytest.mark.parametrize("written", [0, 2, 6])
@pytest.mark.parametrize("change", ["none", "renamed", "disbanded"])
@pytest.mark.parametrize("many", [6, 60])
async def test_what_is_noted_is_found_as_if_it_were_written(
    ledgers: Ledgers, founded: UUID, written: int, change: str, many: int
) -> None:
    async def work(unit: UnitOfWork) -> None:
        teams = []
        for n in range(many):
            teams.append(unit.new_id("team"))
            await unit.execute(FormTeam(team_id=teams[-1], name=f"Team {n}"))
            if n + 1 == written:
                await unit.flush()
        if change == "renamed":
            await unit.execute(RenameTeam(team_id=teams[1], name="Team 3"))
        if change == "disbanded":
            await unit.execute(DisbandTeam(team_id=teams[5]))
        rows = await unit.rows()
        noted = [await rows.select(TeamRow, where, **page) for where, page in _ASKED]
        await unit.flush()
        assert noted == [await rows.select(TeamRow, where, **page) for where, page in _ASKED]
        assert len(noted[0]) == many
        with pytest.raises(ValueError, match="no column"):
            await rows.select(TeamRow, {"nothing": 1})
        assert await rows.select(ExternalIdRow) == []

    await ledgers.run(founded, Meta("operator/test", "test", uuid7()), work)


async def test_a_later_unit_finds_what_an_earlier_one_noted(
    ledgers: Ledgers, founded: UUID
) -> None:
    """What is settled is no longer the unit's own, and counts all the same."""

    async def work(unit: UnitOfWork) -> None:
        team = unit.new_id("team")
        await unit.execute(FormTeam(team_id=team, name="First"))
        unit.settle()
        other = unit.new_id("team")
        await unit.execute(FormTeam(team_id=other, name="Second"))
        assert [row.name for row in await (await unit.rows()).select(TeamRow)] == [
            "First",
            "Second",
        ]
        assert (await unit.state("team", team)).name == "First"
        await unit.execute(RenameTeam(team_id=team, name="Growth"))
        assert [row.name for row in await (await unit.rows()).select(TeamRow)] == [
            "Growth",
            "Second",
        ]

    await ledgers.run(founded, Meta("operator/test", "test", uuid7()), work)
