"""Whether an ETag still holds is told from the ledger's head, and never where it may not hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.application import replay
from app.application.ledgers import Ledgers
from app.events import store
from tests.api.programme import Api, Json
from tests.conftest import Database
from tests.server import serving

SHOWN = ["/objectives/{objective}", "/objectives", "/cycles/{cycle}/tree", "/key-results"]


async def _again(api: Api, path: str, etag: str) -> httpx.Response:
    return await api.request("GET", path, headers={"If-None-Match": etag})


async def _alter(owner: asyncpg.Connection[asyncpg.Record], api: Api, title: str) -> None:
    """Change rows behind the ledger's back, so that only whoever reads them can tell."""
    for table in ("objectives", "key_results"):
        await owner.execute(
            f"UPDATE {table} SET title = $2 WHERE org_id = $1",
            UUID(api.org),
            title,
        )


def _path(shown: str, cycle: Json, objective: Json) -> str:
    return shown.format(cycle=cycle["id"], objective=objective["id"])


@pytest.mark.parametrize("shown", SHOWN)
async def test_while_the_ledger_stands_still_no_row_is_read_to_say_so(
    api: Api, owner: asyncpg.Connection[asyncpg.Record], shown: str
) -> None:
    path = _path(shown, *await api.running())
    before = await api.request("GET", path)
    await _alter(owner, api, "Altered")
    assert (await _again(api, path, before.headers["ETag"])).status_code == 304
    assert (await _again(api, path, '"another"')).status_code == 200


@pytest.mark.parametrize("shown", SHOWN)
async def test_rows_that_are_made_anew_are_read_again_though_nothing_was_recorded(
    api: Api, owner: asyncpg.Connection[asyncpg.Record], ledgers: Ledgers, shown: str
) -> None:
    path = _path(shown, *await api.running())
    await _alter(owner, api, "Altered")
    altered = await api.request("GET", path)
    assert "Altered" in altered.text
    async with ledgers.pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, UUID(api.org))
        await replay.rebuild(conn, UUID(api.org))
    mended = await _again(api, path, altered.headers["ETag"])
    assert mended.status_code == 200
    assert "Altered" not in mended.text


async def _correct(api: Api, person: Json) -> None:
    await api.patch(f"/people/{person['id']}", {"name": "Ada Lind"})


async def _erase(api: Api, person: Json) -> None:
    await api.post(f"/people/{person['id']}:erase", {"reason": "She asked for it."})


@pytest.mark.parametrize("change", [_correct, _erase])
async def test_an_etag_does_not_outlive_the_name_that_was_shown(
    api: Api, change: Callable[[Api, Json], Awaitable[None]]
) -> None:
    await api.decide("levels", owners=["company", "team", "individual"])
    cycle, person = await api.cycle(), await api.person()
    owner = {"owner": {"kind": "person", "id": person["id"]}}
    objective = await api.objective(cycle, person, **owner)
    for shown in SHOWN[:3]:
        path = _path(shown, cycle, objective)
        before = await api.request("GET", path)
        assert "Ada Park" in before.text
        assert (await _again(api, path, before.headers["ETag"])).status_code == 304
    etags = {
        shown: (await api.request("GET", _path(shown, cycle, objective))).headers["ETag"]
        for shown in SHOWN[:3]
    }
    await change(api, person)
    for shown, etag in etags.items():
        after = await _again(api, _path(shown, cycle, objective), etag)
        assert after.status_code == 200, shown
        assert "Ada Park" not in after.text


async def test_what_another_server_recorded_is_seen(api: Api, database: Database) -> None:
    cycle, objective = await api.running()
    path = f"/cycles/{cycle['id']}/tree"
    before = await api.request("GET", path)
    assert (await _again(api, path, before.headers["ETag"])).status_code == 304
    with serving(database.url) as base:
        async with httpx.AsyncClient(base_url=base, timeout=30) as client:
            await Api(client, api.key, api.org).check_in(objective["key_results"][0], value=150)
    after = await _again(api, path, before.headers["ETag"])
    assert after.status_code == 200
    assert after.json()["roots"][0]["key_results"][0]["value"] == 150


async def test_nobody_is_told_what_another_ones_answer_was(api: Api) -> None:
    """Two callers who see different scores keep their own ETags."""
    await api.decide("levels", owners=["company", "team", "individual"])
    cycle, person = await api.cycle(), await api.admin()
    other = await api.person("Tom Berg")
    objective = await api.objective(cycle, person, owner={"kind": "person", "id": person["id"]})
    await api.commit(objective)
    await api.move(cycle, "open", "begin-scoring")
    await api.score(objective["key_results"][0], score=0.5, adjustment_reason="We know better.")
    await api.decide("performance_reviews", individual_scores_visible_to=["owner"])
    hers = await api.key_for("read", person_id=person["id"])
    his = await api.key_for("read", person_id=other["id"])
    path = f"/cycles/{cycle['id']}/tree"
    seen, unseen = await hers.request("GET", path), await his.request("GET", path)
    assert seen.headers["ETag"] != unseen.headers["ETag"]
    assert seen.json()["summary"]["score"] == 0.5
    assert unseen.json()["summary"]["score"] is None
    for one, mine, anothers in ((hers, seen, unseen), (his, unseen, seen)):
        assert (await _again(one, path, mine.headers["ETag"])).status_code == 304
        assert (await _again(one, path, anothers.headers["ETag"])).status_code == 200
