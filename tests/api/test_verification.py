"""The proof: a client recomputes the hashes, and what was altered is told."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

import pytest

from app.events.statements import Connection
from tests.api.programme import METRIC, QUARTER, Api, Json


async def _tricky(api: Api) -> None:
    """Events whose text has several spellings: small numbers, escapes, every plane of Unicode."""
    cycle, team = await api.cycle(), await api.team('A "quoted" \\ / <team> \N{PILE OF POO}')
    measure = {**METRIC, "baseline": 0, "target": 0.000001}
    draft = [
        {"title": "Small", "measure": measure, "weight": 0.01},
        {"title": "Large", "measure": {**METRIC, "target": 10**9, "baseline": -0.5}},
    ]
    why = "Two\nlines,\ta tab, \N{LINE SEPARATOR} \N{RIGHT-TO-LEFT MARK}\u05e9\u05dc\u05d5\u05dd"
    await api.objective(cycle, team, why=why, key_results=draft)


def _leaf_hash(org: str, event: Json, data: str) -> str:
    """As `app.events.envelope` documents it, from what a client is shown."""

    def moment(text: str) -> str:
        return datetime.fromisoformat(text).isoformat(timespec="microseconds")

    leaf = [
        org,
        event["position"],
        event["stream"]["category"],
        event["stream"]["id"],
        event["version"],
        event["event_id"],
        event["type"],
        event["schema_version"],
        event["cycle_id"],
        data,
        event["actor"],
        event["source"],
        event["correlation_id"],
        event["causation_id"],
        moment(event["occurred_at"]),
        moment(event["recorded_at"]),
    ]
    text = json.dumps(leaf, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(b"\x00" + text.encode()).hexdigest()


def _data_texts(body: str) -> list[str]:
    """The text of each event as it is kept, from an answer: `kept`, or else `data`."""
    found, at = [], body.find('"data":')
    while at >= 0:
        begin = at + len('"data":')
        _, end = json.JSONDecoder().raw_decode(body, begin)
        kept = end + len(',"kept":')
        sealed, end_of_kept = json.JSONDecoder().raw_decode(body, kept)
        found.append(body[begin:end] if sealed is None else body[kept:end_of_kept])
        at = body.find('"data":', end_of_kept)
    return found


async def test_a_client_recomputes_every_leaf_hash_from_the_text_that_it_is_shown(
    api: Api,
) -> None:
    await _tricky(api)
    await api.one_of_each()
    answer = await api.request("GET", "/events", params={"page_size": 500})
    events, texts = answer.json()["items"], _data_texts(answer.text)
    assert len(events) == len(texts) == await api.head()
    for event, text in zip(events, texts, strict=True):
        assert event["leaf_hash"] == _leaf_hash(api.org, event, text), event["type"]


async def test_the_text_shown_is_the_text_kept(api: Api, owner: Connection) -> None:
    await _tricky(api)
    answer = await api.request("GET", "/events", params={"page_size": 500})
    kept = await owner.fetch(
        "SELECT data::text, encode(leaf_hash, 'hex') AS leaf_hash FROM events "
        "WHERE org_id = $1::uuid ORDER BY position",
        api.org,
    )
    assert [row["data"] for row in kept] == _data_texts(answer.text)
    assert [row["leaf_hash"] for row in kept] == [
        event["leaf_hash"] for event in answer.json()["items"]
    ]


async def test_a_ledger_in_order_is_verified(api: Api) -> None:
    stage = await api.one_of_each()
    verdict = await stage.api.get("/ledger:verify")
    assert verdict["identical"] is True
    assert verdict["differences"] == []
    assert verdict["position"] == await stage.api.head()
    assert verdict["rows"] > 10


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE events SET actor = 'person/mallory' WHERE position = 2",
        "UPDATE events SET occurred_at = occurred_at - interval '1 day' WHERE position = 2",
        "UPDATE events SET data = replace(data::text, 'Growth', 'Decline')::json",
        "UPDATE events SET data = '{}'::json WHERE position = 2",
        "UPDATE events SET position = -position WHERE position = 2",
        "DELETE FROM events WHERE position = 2",
        "DELETE FROM events WHERE position = 3",
        "UPDATE teams SET name = 'Another'",
        "DELETE FROM teams",
    ],
)
async def test_what_was_altered_behind_the_ledgers_back_is_told(
    api: Api, owner: Connection, harm: str
) -> None:
    for _ in range(2):
        await api.team()
    where = " AND" if "WHERE" in harm else " WHERE"
    async with owner.transaction():
        # Not even the owner gets past the triggers, unless they are turned off.
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(f"{harm}{where} org_id = $1::uuid", api.org)
    answer = await api.request("GET", "/ledger:verify")
    assert answer.status_code == 200, answer.text
    verdict = answer.json()
    assert verdict["identical"] is False
    assert verdict["differences"]


async def test_the_ledger_tells_its_head_and_its_clock(api: Api) -> None:
    before = await api.get("/ledger")
    await api.post("/cycles", QUARTER)
    after = await api.get("/ledger")
    assert after["head"] == before["head"] + 1
    moments = [datetime.fromisoformat(ledger["at"]) for ledger in (before, after)]
    assert moments[0] < moments[1]
    assert moments[1].utcoffset() == timedelta(0)
