"""An auditor with nothing but a bundle: what is whole is shown to be, what was altered is named."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest

from app.application.bundle import export
from app.application.bundle_format import NotABundle, event_of, line
from app.application.ledgers import Ledgers
from app.application.restore import NotRestorable, restore
from app.audit import Verdict, audit
from app.database import open_pool
from app.evidence.notes import Checkpoint, NotANote, SigningKey, open_note
from tests.api.programme import Api, Json
from tests.conftest import Server, clone_of_worker

KEY = SigningKey.make("ledger.example.org")


@dataclass(frozen=True)
class Exported:
    """A ledger with a scored and reset cycle, as a bundle; and an earlier checkpoint of it."""

    org: UUID
    cycle: UUID
    lines: list[Json]
    of_cycle: list[Json]
    earlier: str

    def audit(self, lines: list[Json], key: SigningKey | None = KEY) -> Verdict:
        return audit(
            map(_written, lines), key=key.verifier if key else None, earlier=[self.earlier]
        )

    def events(self) -> list[int]:
        """Where the events stand among the lines."""
        return [n for n, part in enumerate(self.lines) if "event" in part]


def _written(part: Json) -> bytes:
    return line(**part)


async def _bundle(ledgers: Ledgers, org: UUID, cycle: UUID | None = None) -> list[Json]:
    async with ledgers.read(org) as reader:
        return [json.loads(text) async for text in export(reader, KEY, cycle_id=cycle)]


@pytest.fixture(scope="module")
async def exported(http: httpx.AsyncClient, operator_key: str, ledgers: Ledgers) -> Exported:
    api = await Api.found(http, operator_key)
    cycle, objective = await api.running()
    (key_result,) = objective["key_results"]
    for value in (120, 150, 180):
        await api.check_in(key_result, value=value, note="It goes on.")
    org, cycle_id = UUID(api.org), UUID(cycle["id"])
    async with ledgers.read(org) as reader:
        (_, told, *_) = [json.loads(text) async for text in export(reader, KEY)][:3]
    # Enough events for more than one block of proofs.
    for n in range(140):
        await api.team(f"Team {n}")
        await api.person(f"Person {n}")
    await api.move(cycle, "begin-scoring")
    await api.score(key_result)
    await api.move(cycle, "begin-reflection")
    choices = [{"key_result_id": key_result["id"], "choice": "keep"}]
    following = {"name": "Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}
    await api.post(f"/cycles/{cycle['id']}:reset", {"choices": choices, "next_cycle": following})
    return Exported(
        org,
        cycle_id,
        await _bundle(ledgers, org),
        await _bundle(ledgers, org, cycle_id),
        told["checkpoint"],
    )


# What is whole ----------------------------------------------------------------------------


def test_a_bundle_as_it_was_exported_holds(exported: Exported) -> None:
    verdict = exported.audit(exported.lines)
    assert verdict.findings == []
    assert verdict.vouched_for
    assert verdict.events == verdict.checkpoint.size > 280
    assert verdict.scores == 1


def test_a_cycle_holds_by_itself_and_its_score_is_computed_anew(exported: Exported) -> None:
    verdict = audit(map(_written, exported.of_cycle), key=KEY.verifier)
    assert verdict.findings == []
    assert (verdict.cycle_id, verdict.scores) == (exported.cycle, 1)
    assert verdict.events < verdict.checkpoint.size


def test_without_a_key_of_ones_own_nobody_is_vouched_for(exported: Exported) -> None:
    assert not exported.audit(exported.lines, key=None).vouched_for


def test_free_text_is_in_a_bundle_only_when_it_is_asked_for(exported: Exported) -> None:
    assert "It goes on." not in json.dumps(exported.lines)


async def test_with_the_keys_of_free_text_it_is_read(exported: Exported, ledgers: Ledgers) -> None:
    async with ledgers.read(exported.org) as reader:
        lines = [text async for text in export(reader, KEY, with_text=True)]
    assert audit(lines, key=KEY.verifier).findings == []
    assert [json.loads(text) for text in lines if b'"text_key"' in text]


# What was tampered with -------------------------------------------------------------------


def _altered(lines: list[Json], at: int, **fields: object) -> list[Json]:
    """With fields of one event changed."""
    part = lines[at]
    return [*lines[:at], {**part, "event": {**part["event"], **fields}}, *lines[at + 1 :]]


def _rehashed(exported: Exported, lines: list[Json], at: int) -> list[Json]:
    """With the hash that fits the event as it reads now: what a careful forger would write."""
    part = lines[at]
    hashed = event_of(exported.org, part["event"]).leaf_hash().hex()
    return [*lines[:at], {**part, "leaf_hash": hashed}, *lines[at + 1 :]]


def _of_type(exported: Exported, name: str) -> int:
    return next(n for n in exported.events() if exported.lines[n]["event"]["type"] == name)


@pytest.mark.parametrize("name", ["check_in.recorded", "objective.committed", "cycle.closed"])
@pytest.mark.parametrize("careful", [False, True])
def test_an_altered_event_is_named(exported: Exported, name: str, careful: bool) -> None:
    at = _of_type(exported, name)
    position = exported.lines[at]["event"]["position"]
    lines = _altered(exported.lines, at, recorded_at="2020-01-01T00:00:00.000000+00:00")
    if careful:
        lines = _rehashed(exported, lines, at)
    findings = exported.audit(lines).findings
    said = "not shown to be in the ledger" if careful else "was altered"
    assert any(f"event {position} " in one and said in one for one in findings), findings
    assert any("not those that were signed" in one for one in findings)
    # Nobody else is accused.
    assert not [one for one in findings if "event " in one and f"event {position} " not in one]


@pytest.mark.parametrize("field", ["data", "actor", "position", "version", "event_id", "type"])
def test_no_field_of_an_event_can_be_altered(exported: Exported, field: str) -> None:
    at = exported.events()[10]
    other = exported.lines[exported.events()[11]]["event"]
    value = other[field] if other[field] != exported.lines[at]["event"][field] else 999
    if field == "data":
        value = exported.lines[at]["event"]["data"].replace("{", "{ ", 1)
    assert exported.audit(_altered(exported.lines, at, **{field: value})).findings


def test_a_dropped_event_is_named(exported: Exported) -> None:
    at = exported.events()[30]
    findings = exported.audit([*exported.lines[:at], *exported.lines[at + 1 :]]).findings
    assert f"event {exported.lines[at]['event']['position']} is missing" in findings


def test_dropped_events_at_the_end_are_named(exported: Exported) -> None:
    last = exported.events()[-1]
    findings = exported.audit([*exported.lines[:last], *exported.lines[last + 1 :]]).findings
    assert f"event {exported.lines[last]['event']['position']} is missing" in findings


def test_an_added_event_is_named(exported: Exported) -> None:
    at = exported.events()[-1]
    part = exported.lines[at]
    size = part["event"]["position"]
    more = {**part["event"], "position": size + 1, "version": part["event"]["version"] + 1}
    lines = [*exported.lines[: at + 1], {**part, "event": more}, *exported.lines[at + 1 :]]
    lines = _rehashed(exported, lines, at + 1)
    findings = exported.audit(lines).findings
    assert f"event {size + 1} is not shown to be in the ledger that was signed" in findings


def test_reordered_events_are_named(exported: Exported) -> None:
    one, two = exported.events()[20], exported.events()[21]
    lines = list(exported.lines)
    lines[one], lines[two] = lines[two], lines[one]
    first = exported.lines[one]["event"]["position"]
    findings = exported.audit(lines).findings
    assert f"event {first} stands after event {first + 1}" in findings


def test_renumbering_does_not_hide_a_dropped_event(exported: Exported) -> None:
    gone, *rest = exported.events()[40:]
    lines = list(exported.lines)
    for at in rest:
        lines[at] = {
            **lines[at],
            "event": {**lines[at]["event"], "position": lines[at]["event"]["position"] - 1},
        }
        lines = _rehashed(exported, lines, at)
    findings = exported.audit([*lines[:gone], *lines[gone + 1 :]]).findings
    assert any("not shown to be in the ledger" in one for one in findings)


def test_a_score_that_its_readings_do_not_give_is_named(exported: Exported) -> None:
    """Signed and proved as it may be: whoever signs can sign what is wrong."""
    at = _of_type(exported, "key_result.scored")
    data = json.loads(exported.lines[at]["event"]["data"])
    wrong = {**data, "computed": 0.99, "score": 0.99}
    lines = _altered(exported.lines, at, data=json.dumps(wrong))
    findings = exported.audit(lines).findings
    position = exported.lines[at]["event"]["position"]
    assert any(
        one.startswith(
            f"event {position} states computed 0.99 of key result {data['key_result_id']}"
        )
        and one.endswith("give 0.8")
        for one in findings
    ), findings


def test_a_history_rewritten_since_an_earlier_checkpoint_is_told(exported: Exported) -> None:
    """The whole bundle was made anew, consistently, by somebody who holds the key."""
    lines = _forged(exported)
    assert audit(map(_written, lines), key=KEY.verifier).findings == []
    findings = exported.audit(lines).findings
    size = Checkpoint.parse(open_note(exported.earlier, KEY.verifier)).size
    assert f"the first {size} events are not those of the checkpoint that was kept" in findings


def _forged(exported: Exported) -> list[Json]:
    from app.evidence.merkle import inclusion_proof, root

    at = exported.events()[3]
    lines = _altered(exported.lines, at, source="forged")
    leaves = [event_of(exported.org, lines[n]["event"]).leaf_hash() for n in exported.events()]
    for index, n in enumerate(exported.events()):
        proof = [base64.b64encode(node).decode() for node in inclusion_proof(leaves, index)]
        lines[n] = {**lines[n], "leaf_hash": leaves[index].hex(), "proof": proof}
    made = Checkpoint(f"{KEY.name}/{exported.org}", len(leaves), root(leaves))
    lines[1] = {"checkpoint": KEY.sign(made.to_text())}
    return lines


# Signatures -------------------------------------------------------------------------------


def test_a_signature_by_another_key_is_refused(exported: Exported) -> None:
    with pytest.raises(NotANote, match="no signature by"):
        audit(map(_written, exported.lines), key=SigningKey.make("ledger.example.org").verifier)


def test_a_checkpoint_of_another_ledger_is_told(exported: Exported) -> None:
    other = Checkpoint(f"{KEY.name}/{UUID(int=7)}", 12, b"x" * 32)
    lines = [exported.lines[0], {"checkpoint": KEY.sign(other.to_text())}, *exported.lines[2:]]
    findings = exported.audit(lines).findings
    assert any("and not of organisation" in one for one in findings)
    assert any("up to event" in one for one in findings)


# What is no bundle ------------------------------------------------------------------------


def _broken(exported: Exported) -> dict[str, list[bytes]]:
    good = [_written(part) for part in exported.lines]
    return {
        "empty": [],
        "no JSON": [b"{", *good],
        "no object": [b"[]\n"],
        "binary": [bytes(range(256))],
        "nested": [b"[" * 100_000],
        "another format": [good[0].replace(b"bundle/1", b"bundle/9"), *good[1:]],
        "no checkpoint": [good[0], *good[2:]],
        "broken off": good[:-1],
        "cut in a line": [*good[:-3], good[-3][:40]],
        "more after its end": [*good, good[-2]],
        "an unknown line": [*good[:5], b'{"other":1}\n', *good[5:]],
        "an end without a count": [*good[:-1], b'{"end":{}}\n'],
    }


@pytest.mark.parametrize(
    "name",
    [
        "empty",
        "no JSON",
        "no object",
        "binary",
        "nested",
        "another format",
        "no checkpoint",
        "broken off",
        "cut in a line",
        "more after its end",
        "an unknown line",
        "an end without a count",
    ],
)
def test_what_is_no_bundle_is_refused_with_the_place(exported: Exported, name: str) -> None:
    with pytest.raises((NotABundle, NotANote)):
        audit(_broken(exported)[name], key=KEY.verifier)


@pytest.mark.parametrize(
    "change",
    [
        lambda part: {**part, "proof": "x"},
        lambda part: {**part, "proof": ["not base64!"]},
        lambda part: {**part, "event": {}},
        lambda part: {**part, "event": {**part["event"], "stream_id": "x"}},
        lambda part: {**part, "event": {**part["event"], "position": None}},
        lambda part: {**part, "event": {**part["event"], "data": "{"}},
        lambda part: {**part, "event": {**part["event"], "type": "unknown.event"}},
        lambda part: {"event": part["event"]},
    ],
)
def test_a_broken_event_is_a_finding_and_no_crash(
    exported: Exported, change: Callable[[Json], Json]
) -> None:
    at = exported.events()[15]
    lines = [*exported.lines[:at], change(exported.lines[at]), *exported.lines[at + 1 :]]
    assert exported.audit(lines).findings


# Moving in --------------------------------------------------------------------------------


async def test_an_exported_ledger_is_taken_in_elsewhere_and_is_identical(
    exported: Exported, ledgers: Ledgers, cluster: Server
) -> None:
    async with ledgers.read(exported.org) as reader:
        lines = [text async for text in export(reader, KEY, with_text=True)]
    database = await clone_of_worker(cluster, "moved_in")
    pool = await open_pool(database.url)
    try:
        elsewhere = Ledgers(pool)
        org, count = await restore(elsewhere, lines)
        assert (org, count) == (exported.org, len(exported.events()))
        async with elsewhere.read(org) as reader:
            again = [text async for text in export(reader, KEY, with_text=True)]
        assert again == lines
        assert await _all_rows(elsewhere, org) == await _all_rows(ledgers, org)
        with pytest.raises(NotRestorable, match="here already"):
            await restore(elsewhere, lines)
    finally:
        await pool.close()


async def _all_rows(ledgers: Ledgers, org: UUID) -> str:
    from app.application.verification import verify
    from app.projections.registry import PROJECTIONS

    async with ledgers.read(org) as reader:
        assert (await verify(reader.conn, org)).differences == ()
        found = [sorted(map(str, await reader.rows.select(one.table))) for one in PROJECTIONS]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


@pytest.mark.parametrize("name", ["broken off", "another format", "empty", "no JSON", "altered"])
async def test_nothing_is_taken_in_of_what_is_not_whole(
    exported: Exported, cluster: Server, name: str
) -> None:
    at = exported.events()[10]
    lines = {
        **_broken(exported),
        "altered": [_written(p) for p in _altered(exported.lines, at, source="forged")],
    }[name]
    database = await clone_of_worker(cluster, "not_moved_in")
    pool = await open_pool(database.url)
    try:
        with pytest.raises((NotRestorable, NotABundle)):
            await restore(Ledgers(pool), lines)
        assert await pool.fetchval("SELECT count(*) FROM organizations") == 0
    finally:
        await pool.close()


async def test_a_cycle_alone_is_not_taken_in(exported: Exported, ledgers: Ledgers) -> None:
    with pytest.raises(NotRestorable, match="whole ledger"):
        await restore(ledgers, map(_written, exported.of_cycle))
