"""Leaked keys are useless: what a backup holds opens nothing, and what was erased stays so.

A dump is what every table holds, read as the tables' owner. That keys are digests in the tables,
and stop within a second, is told in tests/api/test_access.py; what logs hold, in test_logs.py.
"""

from __future__ import annotations

import base64
import json
import re
from contextlib import suppress
from uuid import UUID

import httpx
import pytest

from app.application.keys import Keys
from app.database import Pool
from app.domain.access import Scope
from app.events.statements import Connection
from tests.api.programme import Api, Json, Stage

_SECRET = "Ben has the measles and stays at home"
_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIwMHUxIn0.c2lnbmF0dXJl"


async def _dump(owner: Connection, *orgs: str) -> dict[str, str]:
    """All that the tables hold of these organisations, and of none; bytes as hexadecimal."""
    tables = await owner.fetch(
        "SELECT relname AS name, EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid "
        "AND attname = 'org_id' AND NOT attisdropped) AS of_organization "
        "FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    found: dict[str, str] = {}
    for org_id in orgs:
        # The owner may be one whom no policy binds, so whose rows are meant is said twice.
        await owner.execute("SELECT set_config('app.org_id', $1, false)", org_id)
        for table in tables:
            name = table["name"]
            only = f" WHERE org_id = '{UUID(org_id)}'" if table["of_organization"] else ""
            rows = await owner.fetch(f"SELECT t::text FROM {name} t{only}")
            found[name] = found.get(name, "") + "\n".join(row["t"] for row in rows)
    return found


def _forms(secret: bytes) -> list[str]:
    """The ways in which bytes may stand in a text."""
    encoded = base64.b64encode(secret).decode()
    forms = [secret.hex(), secret.hex().upper(), encoded, encoded.rstrip("=")]
    with suppress(UnicodeDecodeError):
        forms.append(secret.decode())
    return forms


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


async def test_a_dump_holds_no_key_and_no_token(
    stage: Stage, owner: Connection, operator_key: str
) -> None:
    api = stage.api
    answers = [
        await api.request(
            "POST",
            "/api-keys",
            json={"name": "Bridge", "scopes": ["read"], **more},
            headers={"Idempotency-Key": f"once {at}"},
        )
        for at, more in enumerate(({}, {"person_id": stage.ids["person_id"]}))
    ]
    issued = [answer.json()["key"] for answer in answers]
    for key in (*issued, _TOKEN):
        await api.with_key(key).request("GET", "/me")
    dump = await _dump(owner, api.org)
    assert len(dump) > 20
    assert stage.ids["key_id"] in dump["api_keys"]
    for key in (*issued, operator_key, _TOKEN):
        for part in (key, key.split("_")[-1], key.split("_")[-1][:32]):
            for form in _forms(part.encode()):
                assert not [name for name, text in dump.items() if form in text]
    whole = "\n".join(dump.values())
    assert not re.search(r"okr_[a-z]+_[0-9A-Za-z]{38}", whole)


async def test_what_a_dump_holds_opens_nothing(stage: Stage, owner: Connection, pool: Pool) -> None:
    """Digests, ids and text keys, presented as if they were keys."""
    dump = await _dump(owner, stage.api.org)
    words = set()
    for table in ("credentials", "operators", "text_keys", "identities", "api_keys"):
        words |= set(re.findall(r"(?:\\+x)?([0-9A-Za-z-]{16,})", dump[table]))
    assert len(words) > 5
    known = Keys(pool)
    for word in words:
        for presented in (word, f"okr_live_{word}", f"okr_live_{word[:38]}"):
            assert await known.caller(presented) is None
    digests = [word for word in words if re.fullmatch(r"[0-9a-f]{64}", word)]
    assert digests
    for digested in digests:
        answer = await stage.api.with_key(digested).request("GET", "")
        # Or so many wrong keys were tried from here that no more are looked at.
        assert answer.status_code in (401, 429)


async def _erased(api: Api, owner: Connection) -> tuple[Json, bytes]:
    """Somebody who wrote something, and the key that it was sealed with."""
    ben = await api.person("Ben Ode")
    cycle, team = await api.cycle(), await api.team()
    await api.put(f"/teams/{team['id']}/members/{ben['id']}", {"role": "member"})
    key = await api.key_for(*Scope, person_id=ben["id"])
    await key.objective(cycle, team, why=_SECRET)
    await owner.execute("SELECT set_config('app.org_id', $1, false)", api.org)
    sealing = await owner.fetchval(
        "SELECT key FROM text_keys WHERE org_id = $1 AND author = $2",
        UUID(api.org),
        f"person/{ben['id']}",
    )
    assert isinstance(sealing, bytes)
    await api.post(f"/people/{ben['id']}:erase", {"reason": "He asked for it."})
    return ben, sealing


async def test_a_dump_holds_no_text_key_of_somebody_who_was_erased(
    api: Api, owner: Connection
) -> None:
    ben, sealing = await _erased(api, owner)
    dump = await _dump(owner, api.org)
    for form in _forms(sealing):
        assert not [name for name, text in dump.items() if form in text]
    for gone in (_SECRET, "Ben Ode", _SECRET.encode().hex()):
        assert not [name for name, text in dump.items() if gone in text]
    assert ben["id"] in dump["events"]


async def test_a_kept_answer_does_not_keep_what_was_erased(api: Api, owner: Connection) -> None:
    """Answers to retries are kept for a while, with all that they said."""
    ben = await api.person("Ben Ode")
    body = {"name": "Ben of old", "email": "ben@example.org"}
    answer = await api.request("POST", "/people", json=body, headers={"Idempotency-Key": "ben"})
    person = answer.json()
    await api.post(f"/people/{person['id']}:erase", {})
    dump = await _dump(owner, api.org)
    held = [
        name
        for name, text in dump.items()
        if any(form in text for said in body.values() for form in _forms(said.encode()))
    ]
    assert held == [], f"{json.dumps(held)} hold {ben['id']}'s namesake still"
