"""A person is erased: what they wrote is gone, and every proof, score and rebuild still holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.config import Settings
from app.events.statements import Connection
from app.events.texts import ERASED, Texts
from app.main import create_app
from tests.api.programme import UNKNOWN, Api, Json
from tests.conftest import Database

SECRET = "Ben has the measles and stays at home"


@pytest.fixture(scope="module")
async def elsewhere(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A second process's application on the same database: nothing in memory is shared."""
    settings = Settings().model_copy(
        update={"database_url": database.url, "allow_undurable_database": True}
    )
    made = create_app(settings)
    transport = httpx.ASGITransport(made)
    async with (
        made.router.lifespan_context(made),
        httpx.AsyncClient(transport=transport, base_url="http://elsewhere") as client,
    ):
        yield client


async def _written(api: Api) -> tuple[Json, Json, Json]:
    """A person of a team who wrote where text can be written; with the key result and cycle."""
    ben = await api.person("Ben Ode")
    cycle, team = await api.cycle(), await api.team()
    await api.put(f"/teams/{team['id']}/members/{ben['id']}", {"role": "member"})
    key = await api.key_for("read", "objectives:write", "check-ins:write", person_id=ben["id"])
    objective = await key.commit(await key.objective(cycle, team, why=SECRET, why_now=SECRET))
    await api.open_anyway(cycle)
    key_result = objective["key_results"][0]
    await key.check_in(key_result, value=150, confidence=0.7, note=SECRET, next_steps=SECRET)
    await key.block(key_result, ben, SECRET)
    # Another's words about the same things stay.
    await api.check_in(key_result, value=160, note="All is well.")
    return ben, key_result, cycle


async def _everything(owner: Connection, org: str) -> dict[str, str]:
    """All that the database holds of an organisation, table by table, as text."""
    tables = await owner.fetch(
        "SELECT table_name FROM information_schema.columns "
        "WHERE column_name = 'org_id' AND table_schema = 'public'"
    )
    held = {}
    await owner.execute("SELECT set_config('app.org_id', $1, false)", org)
    for row in tables:
        name = row["table_name"]
        rows = await owner.fetch(f"SELECT t::text FROM {name} t WHERE org_id = $1::uuid", org)
        held[name] = "\n".join(one["t"] for one in rows)
    return held


async def test_what_was_written_is_never_in_the_events_in_plain(
    api: Api, owner: Connection
) -> None:
    await _written(api)
    held = await _everything(owner, api.org)
    assert SECRET in held["check_ins"]
    assert SECRET not in held["events"]
    assert r"\u0001" in held["events"]


async def test_an_erased_person_is_gone_from_every_table(api: Api, owner: Connection) -> None:
    ben, _, _ = await _written(api)
    erased = await api.post(f"/people/{ben['id']}:erase", {"reason": "He asked for it."})
    assert (erased["name"], erased["email"], erased["active"]) == (None, None, False)
    assert erased["erased"] is True
    held = await _everything(owner, api.org)
    assert not [name for name, text in held.items() if SECRET in text or "Ben Ode" in text]
    assert ben["id"] not in held["text_keys"]
    assert ben["id"] in held["events"], "what he did stays his"


async def test_figures_and_hashes_hold_and_what_others_wrote_stays(api: Api) -> None:
    ben, key_result, cycle = await _written(api)
    path = f"/key-results/{key_result['id']}"
    before, hashes = await api.get(path), await _hashes(api)
    figures = ("progress", "confidence", "computed_score", "value", "health")
    await api.post(f"/people/{ben['id']}:erase")
    after = await api.get(path)
    assert [after[name] for name in figures] == [before[name] for name in figures]
    said = [one["note"] for one in (await api.get(f"{path}/check-ins"))["items"]]
    assert said == [ERASED, "All is well."]
    assert (await _hashes(api))[: len(hashes)] == hashes
    assert (await api.get("/ledger:verify"))["identical"] is True
    objective = await api.get(f"/objectives/{key_result['objective_id']}")
    assert (objective["why"], objective["title"]) == (
        ERASED,
        "Customers stay because they succeed",
    )
    tree = await api.get(f"/cycles/{cycle['id']}/tree")
    assert SECRET not in json.dumps(tree)


async def _hashes(api: Api) -> list[str]:
    events = await api.get("/events", page_size=500)
    return [event["leaf_hash"] for event in events["items"]]


async def test_looking_back_does_not_bring_it_back(api: Api) -> None:
    ben, key_result, _ = await _written(api)
    then = await api.head()
    path = f"/key-results/{key_result['id']}/check-ins"
    # A look back that was shown before the erasure is not shown again from memory.
    assert (await api.get(path, as_of=then))["items"][0]["note"] == SECRET
    await api.post(f"/people/{ben['id']}:erase")
    assert (await api.get(path, as_of=then))["items"][0]["note"] == ERASED
    events = await api.get("/events", type="check_in.recorded")
    assert [event["data"]["terms"]["note"] for event in events["items"]] == [
        ERASED,
        "All is well.",
    ]


async def test_text_is_not_written_anew_from_memory(api: Api, owner: Connection) -> None:
    """What is kept of streams between requests must not bring back what was erased."""
    ben, key_result, _ = await _written(api)
    await api.post(f"/people/{ben['id']}:erase")
    objective = await api.get(f"/objectives/{key_result['objective_id']}")
    body = {"title": "Customers stay since they succeed", "reason": "Plainer."}
    await api.patch_blindly(f"/objectives/{objective['id']}", body)
    assert (await api.get(f"/objectives/{objective['id']}"))["why"] == ERASED
    assert SECRET not in json.dumps(await api.get("/events", page_size=500))


async def test_somebody_who_left_can_be_erased_and_nobody_twice(api: Api) -> None:
    ben, _, _ = await _written(api)
    await api.post(f"/people/{ben['id']}:depart")
    await api.post(f"/people/{ben['id']}:erase")
    await api.refused("invalid-state", "POST", f"/people/{ben['id']}:erase")
    await api.refused("not-found", "POST", f"/people/{UNKNOWN}:erase")
    kinds = [event["type"] for event in (await api.get("/events", page_size=500))["items"]]
    assert kinds.count("person.left") == 1
    assert kinds[-1] == "person.erased"


async def test_only_an_admin_erases(api: Api) -> None:
    ben, _, _ = await _written(api)
    leader = await api.person("Ines Roth")
    company = await api.team("Harbour", level="company")
    await api.put(f"/teams/{company['id']}/members/{leader['id']}", {"role": "leader"})
    key = await api.key_for(
        "organization:write", "people:write", "history:read", person_id=leader["id"]
    )
    answer = await key.request("POST", f"/people/{ben['id']}:erase")
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/out-of-reach")


async def test_another_process_forgets_too(api: Api, elsewhere: httpx.AsyncClient) -> None:
    ben, key_result, _ = await _written(api)
    other = Api(elsewhere, api.key, api.org)
    path = f"/key-results/{key_result['id']}/check-ins"
    then = await api.head()
    assert (await other.get(path, as_of=then))["items"][0]["note"] == SECRET
    await api.post(f"/people/{ben['id']}:erase")
    assert (await other.get(path, as_of=then))["items"][0]["note"] == ERASED
    assert SECRET not in json.dumps(await other.get("/events", page_size=500))


# The seal ---------------------------------------------------------------------------------


def _texts(**keys: bytes) -> Texts:

    return Texts(UUID(int=1), dict(keys))


@pytest.mark.parametrize(
    "text", ["secret words", "Grüße, 世界 \U0001f600", '"quoted"\nand broken', "\\u0001"]
)
def test_a_sealed_text_is_opened_to_what_it_was(text: str) -> None:
    texts = _texts(ada=b"k" * 32)
    stored = json.dumps({"note": texts.sealer("ada", b"k" * 32)(text), "title": text})
    assert text not in json.loads(stored)["note"]
    assert json.loads(texts.opened("ada", stored)) == {"note": text, "title": text}


def test_the_same_text_is_sealed_differently_each_time() -> None:
    seal = _texts().sealer("ada", b"k" * 32)
    assert seal("x") != seal("x")


@pytest.mark.parametrize(
    "keys", [{}, {"ada": b"x" * 32}, {"ben": b"k" * 32}], ids=["none", "other", "another's"]
)
def test_without_the_very_key_it_reads_as_erased(keys: dict[str, Any]) -> None:
    stored = json.dumps({"note": _texts().sealer("ada", b"k" * 32)("secret")})
    assert json.loads(_texts(**keys).opened("ada", stored)) == {"note": ERASED}


def test_a_text_moved_to_another_author_or_organization_does_not_open() -> None:

    stored = json.dumps({"note": _texts().sealer("ada", b"k" * 32)("secret")})
    assert ERASED in _texts(ben=b"k" * 32).opened("ben", stored)
    assert ERASED in Texts(UUID(int=2), {"ada": b"k" * 32}).opened("ada", stored)


async def test_a_client_cannot_send_what_looks_sealed(api: Api) -> None:
    for name in ("\x01c2VhbGVk", "a\x01"):
        answer = await api.request("POST", "/teams", json={"name": name})
        assert answer.status_code == 422, answer.text
