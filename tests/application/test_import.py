"""Import: the same commands as everywhere else, as often as one likes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from app.application.import_document import DocumentInvalid, ImportDocument, parse
from app.application.importing import ImportReport, organization_of, run_import
from app.application.ledgers import Ledgers, Reader
from app.application.unit_of_work import UnitOfWork
from app.domain.cycle import PlanCycle
from app.domain.dependency import OtherSide, WithdrawDependency
from app.domain.planning import CancelCycle
from app.domain.readiness import Override
from app.domain.values import ExternalRef
from app.events.envelope import Meta
from app.projections.check_ins import CheckInRow
from app.projections.dependencies import DependencyRow
from app.projections.external_ids import ExternalIdRow
from app.projections.key_results import KeyResultRow
from app.queries import cycles, tree
from app.queries.dependencies import DependencyView, dependency_view
from app.queries.tree import ObjectiveNode, TreeView

Json = dict[str, Any]
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "quarter.json"
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "gitlab-fy21-q1.json"
META = Meta("operator/test", "import", uuid7())


def _example() -> Json:
    written: Json = json.loads(EXAMPLE.read_text())
    return written


def _parsed(written: Json) -> ImportDocument:
    return parse(json.dumps(written).encode())


async def _import(ledgers: Ledgers, org_id: UUID, written: Json, **options: Any) -> ImportReport:
    return await run_import(ledgers, org_id, _parsed(written), meta=META, **options)


async def _head(ledgers: Ledgers, org_id: UUID) -> int:
    async with ledgers.read(org_id) as reader:
        return reader.position


async def _tree(ledgers: Ledgers, org_id: UUID, report: ImportReport) -> TreeView:
    assert report.cycle_id is not None
    async with ledgers.read(org_id) as reader:
        shown = await tree.tree(reader, report.cycle_id)
    return TreeView.model_validate_json(shown.body)


async def _id_of(reader: Reader, kind: str, source: str, key: str) -> UUID:
    row = await reader.rows.get(ExternalIdRow, kind, source, key)
    assert row is not None, key
    return row.id


def _problems(report: ImportReport, outcome: str = "refused") -> dict[str, tuple[str, str]]:
    """What went wrong: per item, the problem's type and where it points."""
    return {
        f"{item.kind}/{item.key}": (item.problem.type, item.problem.pointer)
        for item in report.items
        if item.outcome == outcome and item.problem is not None
    }


async def test_the_example_is_imported_whole(ledgers: Ledgers, founded: UUID) -> None:
    written = _example()
    report = await _import(ledgers, founded, written)
    assert _problems(report) == {}
    assert report.counts["owners"].created == len(written["owners"])
    assert report.counts["objectives"].created == len(written["objectives"])
    shown = await _tree(ledgers, founded, report)
    key_results = [k for o in written["objectives"] for k in o.get("key_results", [])]
    assert shown.summary.objectives == len(written["objectives"])
    assert shown.summary.key_results == len(key_results)
    assert shown.summary.scored == sum(k["score"] is not None for k in key_results)


async def test_a_cancelled_cycle_takes_no_import(ledgers: Ledgers, founded: UUID) -> None:
    written = _example()
    ref = ExternalRef(source=written["source"], external_id=written["cycle"]["name"])
    first, last = (date.fromisoformat(written["cycle"][end]) for end in ("starts_on", "ends_on"))

    async def cancelled(unit: UnitOfWork) -> UUID:
        id = unit.new_id("cycle")
        await unit.execute(
            PlanCycle(cycle_id=id, name="Spring", starts_on=first, ends_on=last, external=ref)
        )
        await unit.execute(CancelCycle(cycle_id=id, reason="One too many."))
        return id

    id = await ledgers.run(founded, META, cancelled)
    report = await _import(ledgers, founded, written)
    assert report.cycle_id == id
    assert _problems(report)["phases/drafting"] == ("/problems/invalid-state", "/cycle")
    assert report.counts["objectives"].created == 0


async def test_importing_twice_adds_nothing(ledgers: Ledgers, founded: UUID) -> None:
    first = await _import(ledgers, founded, _example())
    head = await _head(ledgers, founded)
    second = await _import(ledgers, founded, _example())
    assert await _head(ledgers, founded) == head == second.position
    assert {item.outcome for item in second.items} == {"unchanged"}
    ids = [(item.kind, item.key, item.id) for item in first.items if item.id]
    assert [(item.kind, item.key, item.id) for item in second.items if item.id] == ids


async def test_a_run_that_broke_off_goes_on_where_it_stood(ledgers: Ledgers, founded: UUID) -> None:
    def break_off(kind: str, done: int, total: int) -> None:
        if kind == "key_results":
            raise ConnectionError("broken off")

    with pytest.raises(ConnectionError):
        await _import(ledgers, founded, _example(), batch=1, progress=break_off)
    report = await _import(ledgers, founded, _example(), batch=1)
    assert report.counts["objectives"].unchanged == report.counts["objectives"].total
    assert report.counts["key_results"].unchanged == 1
    assert report.counts["key_results"].created == report.counts["key_results"].total - 1


async def test_a_dry_run_tells_everything_and_records_nothing(
    ledgers: Ledgers, founded: UUID
) -> None:
    head = await _head(ledgers, founded)
    dry = await _import(ledgers, founded, _example(), dry_run=True)
    assert await _head(ledgers, founded) == head == dry.position
    assert {item.outcome for item in dry.items} == {"created"}
    assert {item.id for item in dry.items} == {None}
    real = await _import(ledgers, founded, _example())
    assert real.counts == dry.counts


async def test_a_dry_run_of_a_new_source_founds_nothing(ledgers: Ledgers) -> None:
    document, fresh = _parsed({**_example(), "source": "never seen"}), uuid7()
    report = await run_import(ledgers, fresh, document, meta=META, founding=True, dry_run=True)
    assert report.counts["organizations"].created == 1
    assert await organization_of(ledgers, document, []) is None
    report = await run_import(ledgers, fresh, document, meta=META, founding=True)
    assert await organization_of(ledgers, document, [fresh]) == fresh


async def test_in_warn_mode_a_broken_limit_is_recorded_and_in_refuse_mode_it_is_that_items_problem(
    ledgers: Ledgers, founded: UUID
) -> None:
    written = _example()
    owner = written["owners"][0]["key"]
    written["objectives"] = [
        {"key": f"O{n}", "owner": owner, "title": f"Goal {n}", "key_results": [
            {"key": f"O{n}K", "title": "Reached"}]}
        for n in range(4)
    ]  # fmt: skip
    written["objectives"][3]["supports"] = "O0"
    written["objectives"][2]["supports"] = "O3"
    warned = await _import(ledgers, founded, written)
    assert _problems(warned) == {}
    assert [item.key for item in warned.items if item.warnings] == ["O3"]
    assert (await _tree(ledgers, founded, warned)).summary.warnings == 1

    strict = {"question": "limits", "max_objectives": 3, "enforcement": "refuse"}
    written |= {"source": "strict", "decisions": [{"decision": strict}]}
    written["cycle"]["name"] = "Strict"
    refused = await _import(ledgers, founded, written)
    assert _problems(refused) == {
        "objectives/O3": ("/problems/decision-refuses", "/objectives/3"),
        "key_results/O3K": ("/problems/depends-on-refused", "/objectives/3/key_results/0"),
        "alignments/O3 -> O0": ("/problems/depends-on-refused", "/objectives/3/supports"),
        "alignments/O2 -> O3": ("/problems/depends-on-refused", "/objectives/2/supports"),
        "commitments/O3": ("/problems/depends-on-refused", "/objectives/3"),
    }


async def test_what_is_there_and_says_something_else_is_told_and_left_alone(
    ledgers: Ledgers, founded: UUID
) -> None:
    written = _example()
    await _import(ledgers, founded, written)
    head = await _head(ledgers, founded)
    changed = written["objectives"][0]
    changed["title"] = "Another title"
    changed["key_results"][0]["check_ins"][0]["value"] = 35
    written["owners"][1]["name"] = "Another name"
    report = await _import(ledgers, founded, written)
    assert await _head(ledgers, founded) == head
    found = _problems(report, "differs")
    assert {kind for kind, _ in found.values()} == {"/problems/differs"}
    assert sorted(pointer for _, pointer in found.values()) == [
        "/objectives/0",
        "/objectives/0/key_results/0/check_ins/0",
        "/owners/1",
    ]


async def test_a_reference_to_nothing_is_that_items_problem(
    ledgers: Ledgers, founded: UUID
) -> None:
    written = _example()
    written["objectives"] = [
        {"key": "A", "owner": "nobody", "title": "Owned by nobody"},
        {"key": "B", "owner": written["owners"][0]["key"], "title": "Lost", "supports": "C"},
    ]
    report = await _import(ledgers, founded, written)
    found = _problems(report)
    assert found["objectives/A"] == ("/problems/unknown-reference", "/objectives/0/owner")
    assert found["alignments/B -> C"] == (
        "/problems/unknown-reference",
        "/objectives/1/supports",
    )
    assert report.counts["objectives"].created == 1


async def test_an_alignment_loop_in_the_document_is_refused_where_it_closes(
    ledgers: Ledgers, founded: UUID
) -> None:
    written = _example()
    owner = written["owners"][0]["key"]
    written["objectives"] = [
        {"key": "A", "owner": owner, "title": "One", "supports": "B"},
        {"key": "B", "owner": owner, "title": "Two", "supports": "A"},
    ]
    report = await _import(ledgers, founded, written)
    assert _problems(report)["alignments/B -> A"][0] == "/problems/alignment-loop"
    assert report.counts["alignments"].created == 1


def _in_the_present(**cycle: Any) -> Json:
    """The example, with a person, and a cycle in whose middle we are that shall be opened."""
    first = date.today() - timedelta(days=45)
    dates = {"starts_on": f"{first}", "ends_on": f"{first + timedelta(days=90)}"}
    return {
        "source": "present",
        "cycle": {"name": "Now", **dates, "phase": "active", **cycle},
        "people": [{"key": "ada", "name": "Ada Park"}],
        "owners": [{"key": "press", "name": "Lantern Press"}],
        "objectives": [],
    }


async def test_a_first_cycle_of_the_present_is_opened_by_the_override_of_the_document(
    ledgers: Ledgers, founded: UUID
) -> None:
    waiting = await _import(ledgers, founded, _in_the_present())
    assert _problems(waiting) == {"phases/active": ("/problems/not-ready", "/cycle")}
    override = {"by": "ada", "reason": "We learn by doing."}
    opened = await _import(ledgers, founded, _in_the_present(override=override))
    assert _problems(opened) == {}
    assert opened.cycle_id is not None
    async with ledgers.read(founded) as reader:
        cycle = await cycles.cycle(reader, opened.cycle_id)
        ada = await _id_of(reader, "person", "present", "ada")
    assert cycle.override == Override(person_id=ada, reason="We learn by doing.")
    head = await _head(ledgers, founded)
    await _import(ledgers, founded, _in_the_present(override=override))
    assert await _head(ledgers, founded) == head


@pytest.mark.parametrize(
    ("by", "name"), [("nobody", "unknown-reference"), ("press", "wrong-reference")]
)
async def test_an_override_is_by_a_person_of_the_document(
    ledgers: Ledgers, founded: UUID, by: str, name: str
) -> None:
    written = _in_the_present(override={"by": by, "reason": "x"})
    report = await _import(ledgers, founded, written)
    assert _problems(report) == {"phases/active": (f"/problems/{name}", "/cycle/override/by")}


async def test_a_key_of_another_cycle_is_not_taken_for_this_ones(
    ledgers: Ledgers, founded: UUID
) -> None:
    written = _example()
    await _import(ledgers, founded, written)
    written["cycle"] |= {"name": "2026 Q1", "starts_on": "2026-01-01", "ends_on": "2026-03-31"}
    report = await _import(ledgers, founded, written)
    assert {kind for kind, _ in _problems(report).values()} <= {
        "/problems/key-in-use",
        "/problems/depends-on-refused",
    }
    assert report.counts["objectives"].refused == report.counts["objectives"].total


# Dependencies and tracking ----------------------------------------------------------------


def _needing(*dependencies: Json, **more: Any) -> Json:
    """Two teams, a person of each, and an objective of one that needs these of others."""
    return {
        "source": "needs",
        "cycle": {"name": "2025 Q1", "starts_on": "2025-01-01", "ends_on": "2025-03-31"},
        "people": [{"key": "ada", "name": "Ada Park"}, {"key": "ben", "name": "Ben Ruiz"}],
        "owners": [{"key": "shop", "name": "Shop"}, {"key": "web", "name": "Web"}],
        "objectives": [
            {
                "key": "A",
                "owner": "shop",
                "title": "Nobody waits at the till",
                "key_results": [{"key": "A1", "title": "The new till is in use"}],
                "dependencies": [dict(one) for one in dependencies],
            },
            {"key": "B", "owner": "web", "title": "Prices are the same everywhere"},
        ],
        **more,
    }


_NEED: Json = {
    "on": {"kind": "team", "key": "web"},
    "needed": "Prices by the minute.",
    "needed_by": "2025-02-14",
}
_ON_OBJECTIVE: Json = {**_NEED, "on": {"kind": "objective", "key": "B"}, "needed": "One catalogue."}
_DELIVERED: Json = {
    "status": "delivered",
    "answered_by": "ben",
    "answer": "In the second sprint.",
    "delivery_note": "Live since Monday.",
}
_DECLINED: Json = {"status": "declined", "answered_by": "ben", "answer": "Nobody is free."}


async def _dependencies(ledgers: Ledgers, org_id: UUID) -> list[DependencyView]:
    async with ledgers.read(org_id) as reader:
        return [dependency_view(row) for row in await reader.rows.select(DependencyRow)]


async def test_dependencies_are_imported_with_what_was_said_to_them(
    ledgers: Ledgers, founded: UUID
) -> None:
    written = _needing(
        {**_NEED, **_DELIVERED},
        {**_NEED, "key": "photos", "needed": "Photos.", "risk_owner": "ada", **_DECLINED},
        {**_ON_OBJECTIVE, "status": "accepted", "answered_by": "ben"},
        {**_NEED, "needed": "Somebody to ask."},
    )
    report = await _import(ledgers, founded, written)
    assert _problems(report) == {}
    counts = {kind: count.created for kind, count in report.counts.items()}
    assert (counts["dependencies"], counts["answers"], counts["deliveries"]) == (4, 3, 1)
    keys = [item.key for item in report.items if item.kind == "dependencies"]
    assert keys == ["A/dependency/1", "photos", "A/dependency/3", "A/dependency/4"]

    delivered, declined, accepted, open_ = await _dependencies(ledgers, founded)
    async with ledgers.read(founded) as reader:
        named = [("person", "ada"), ("person", "ben"), ("team", "web")]
        named += [("objective", "A"), ("objective", "B")]
        ids = {key: await _id_of(reader, kind, "needs", key) for kind, key in named}
    assert {one.objective_id for one in (delivered, declined, accepted, open_)} == {ids["A"]}
    assert (delivered.status, delivered.answered_by) == ("delivered", ids["ben"])
    assert (delivered.needed, delivered.needed_by) == ("Prices by the minute.", date(2025, 2, 14))
    assert (delivered.answer, delivered.delivery_note) == (
        "In the second sprint.",
        "Live since Monday.",
    )
    assert (declined.status, declined.risk_owner_id) == ("declined", ids["ada"])
    assert declined.answer == "Nobody is free."
    assert accepted.on == OtherSide(kind="objective", id=ids["B"])
    assert (accepted.status, accepted.on_team_id, accepted.answer) == ("accepted", ids["web"], None)
    assert (open_.status, open_.answered_by) == ("open", None)

    head = await _head(ledgers, founded)
    again = await _import(ledgers, founded, written)
    assert {item.outcome for item in again.items} == {"unchanged"}
    assert await _head(ledgers, founded) == head


async def test_what_is_needed_is_declared_while_that_may_be_though_the_cycle_goes_on(
    ledgers: Ledgers, founded: UUID
) -> None:
    written = _needing({**_NEED, **_DELIVERED})
    written["cycle"]["phase"] = "closed"
    assert _problems(await _import(ledgers, founded, written)) == {}
    again = await _import(ledgers, founded, written)
    assert {item.outcome for item in again.items} == {"unchanged"}
    late = await _import(ledgers, founded, _needing({**_NEED, **_DELIVERED}, _ON_OBJECTIVE))
    assert _problems(late) == {
        "dependencies/A/dependency/2": ("/problems/invalid-state", "/objectives/0/dependencies/1")
    }


async def test_an_answer_is_there_before_commitment_asks_for_it(
    ledgers: Ledgers, founded: UUID
) -> None:
    strict = {
        "question": "quality",
        "severities": {"quality.dependencies_are_carried": "refuse"},
    }
    written = _needing(_NEED, decisions=[{"decision": strict}])
    waiting = await _import(ledgers, founded, written)
    assert _problems(waiting) == {"commitments/A": ("/problems/decision-refuses", "/objectives/0")}
    written["objectives"][0]["dependencies"][0] |= {"status": "accepted", "answered_by": "ben"}
    assert _problems(await _import(ledgers, founded, written)) == {}


async def test_what_a_dependency_refers_to_is_in_the_document(
    ledgers: Ledgers, founded: UUID
) -> None:
    def on(kind: str, key: str) -> Json:
        return {"on": {"kind": kind, "key": key}}

    accepted = {"status": "accepted", "answered_by": "ben"}
    written = _needing(
        {**_NEED, "key": "lost", **on("team", "nobody"), **accepted},
        {**_NEED, "key": "person", **on("team", "ben")},
        {**_NEED, "key": "goal", **on("objective", "Z")},
        {**_NEED, "key": "part", **on("objective", "A1")},
        {**_NEED, "key": "risk", "risk_owner": "web"},
        {**_NEED, "key": "own", **on("team", "shop")},
        {**_NEED, "key": "said", "status": "accepted", "answered_by": "web"},
        {**_NEED, "key": "told", "status": "accepted", "answered_by": "zoe"},
    )
    report = await _import(ledgers, founded, written)
    here = "/objectives/0/dependencies"
    assert _problems(report) == {
        "dependencies/lost": ("/problems/unknown-reference", f"{here}/0/on/key"),
        "dependencies/person": ("/problems/wrong-reference", f"{here}/1/on/key"),
        "dependencies/goal": ("/problems/unknown-reference", f"{here}/2/on/key"),
        "dependencies/part": ("/problems/wrong-reference", f"{here}/3/on/key"),
        "dependencies/risk": ("/problems/wrong-reference", f"{here}/4/risk_owner"),
        "dependencies/own": ("/problems/refused", f"{here}/5"),
        "answers/lost": ("/problems/depends-on-refused", f"{here}/0"),
        "answers/said": ("/problems/wrong-reference", f"{here}/6/answered_by"),
        "answers/told": ("/problems/unknown-reference", f"{here}/7/answered_by"),
    }
    assert [one.status for one in await _dependencies(ledgers, founded)] == ["open", "open"]


async def test_a_dependency_that_says_something_else_is_told_and_left_alone(
    ledgers: Ledgers, founded: UUID
) -> None:
    needs: list[Json] = [{**_NEED, **_DELIVERED}, {**_ON_OBJECTIVE, **_DECLINED}]
    await _import(ledgers, founded, _needing(*needs))
    head = await _head(ledgers, founded)
    here = "/objectives/0/dependencies"
    for number, changed, told in (
        (0, {"needed": "Prices by the hour."}, ["dependencies"]),
        (0, {"needed_by": "2025-02-15"}, ["dependencies"]),
        (0, {"risk_owner": "ada"}, ["dependencies"]),
        (0, {"on": {"kind": "objective", "key": "B"}}, ["dependencies"]),
        (0, {"answered_by": "ada"}, ["answers"]),
        (0, {"answer": "In the third sprint."}, ["answers"]),
        (0, {"delivery_note": "Live since Tuesday."}, ["deliveries"]),
        (0, {**_DECLINED, "delivery_note": None}, ["answers"]),
        (1, _DELIVERED, ["answers", "deliveries"]),
    ):
        said = [{**one, **changed} if n == number else one for n, one in enumerate(needs)]
        report = await _import(ledgers, founded, _needing(*said))
        assert _problems(report) == {}
        key = f"A/dependency/{number + 1}"
        expected = {f"{kind}/{key}": ("/problems/differs", f"{here}/{number}") for kind in told}
        assert _problems(report, "differs") == expected, changed
    assert await _head(ledgers, founded) == head
    # What the document leaves open may have gone on.
    report = await _import(ledgers, founded, _needing(_NEED, _ON_OBJECTIVE))
    assert {item.outcome for item in report.items} == {"unchanged"}


async def test_what_was_withdrawn_is_not_needed_again(ledgers: Ledgers, founded: UUID) -> None:
    written = _needing({**_NEED, **_DELIVERED})
    await _import(ledgers, founded, written)

    async def withdraw(unit: UnitOfWork) -> None:
        (need,) = await _dependencies(ledgers, founded)
        await unit.execute(WithdrawDependency(dependency_id=need.id, reason="No time."))

    await ledgers.run(founded, META, withdraw)
    report = await _import(ledgers, founded, written)
    assert _problems(report) == {}
    key = "A/dependency/1"
    assert set(_problems(report, "differs")) == {
        f"{kind}/{key}" for kind in ("dependencies", "answers", "deliveries")
    }


async def test_a_dependency_of_another_cycle_is_not_taken_for_this_ones(
    ledgers: Ledgers, founded: UUID
) -> None:
    await _import(ledgers, founded, _needing({**_NEED, "key": "prices"}))
    cycle = {"name": "2025 Q2", "starts_on": "2025-04-01", "ends_on": "2025-06-30"}
    said = {**_NEED, "key": "prices", "status": "accepted", "answered_by": "ben"}
    written = _needing(cycle=cycle)
    written["objectives"] = [
        {"key": "C", "owner": "shop", "title": "Nobody waits", "dependencies": [said]}
    ]
    report = await _import(ledgers, founded, written)
    here = "/objectives/0/dependencies/0"
    assert _problems(report) == {
        "dependencies/prices": ("/problems/key-in-use", here),
        "answers/prices": ("/problems/depends-on-refused", here),
    }


async def test_a_key_result_names_the_source_that_it_is_tracked_by(
    ledgers: Ledgers, founded: UUID
) -> None:
    written = _needing()
    (part,) = written["objectives"][0]["key_results"]
    part |= {"tracked_by": "needs", "check_ins": [{"value": True}]}
    assert _problems(await _import(ledgers, founded, written)) == {}
    async with ledgers.read(founded) as reader:
        (row,) = await reader.rows.select(KeyResultRow)
        (check_in,) = await reader.rows.select(CheckInRow)
    assert (row.tracked_by, check_in.tracking) == ("needs", "integration")
    again = await _import(ledgers, founded, written)
    assert {item.outcome for item in again.items} == {"unchanged"}
    part["tracked_by"] = "warehouse"
    changed = await _import(ledgers, founded, written)
    assert _problems(changed, "differs") == {
        "key_results/A1": ("/problems/differs", "/objectives/0/key_results/0")
    }


@pytest.mark.parametrize(
    ("said", "pointers"),
    [
        ({"status": "accepted"}, ["answered_by"]),
        ({"status": "delivered", "answer": "Yes."}, ["answered_by"]),
        ({"status": "declined", "answered_by": "ben"}, ["answer"]),
        ({"status": "declined"}, ["answered_by", "answer"]),
        ({"answered_by": "ben", "answer": "Yes.", "delivery_note": "Live."},
         ["answered_by", "answer", "delivery_note"]),
        ({"status": "accepted", "answered_by": "ben", "delivery_note": "Live."},
         ["delivery_note"]),
        ({"status": "withdrawn"}, ["status"]),
        ({"needed_by": "soon"}, ["needed_by"]),
        ({"on": {"kind": "person", "key": "ben"}}, ["on/kind"]),
        ({"on": None}, ["on"]),
        ({"needed": " "}, ["needed"]),
        ({"key": "same"}, [""]),
    ],
)  # fmt: skip
def test_a_dependency_of_the_wrong_shape_is_refused_with_pointers(
    said: Json, pointers: list[str]
) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        _parsed(_needing({**_NEED, "key": "same"}, {**_NEED, **said}))
    errors: Any = refused.value.facts["errors"]
    here = "/objectives/0/dependencies/1"
    wanted = [f"{here}/{one}" if one else here for one in pointers]
    assert [error["pointer"] for error in errors] == wanted


# The real quarter -------------------------------------------------------------------------


@pytest.fixture
def real() -> Json:
    if not REAL.exists():
        pytest.skip("the real quarter is not beside the project")
    written: Json = json.loads(REAL.read_text())
    return written


def _walk(nodes: list[ObjectiveNode], depth: int = 1) -> list[tuple[int, ObjectiveNode]]:
    found = [(depth, node) for node in nodes]
    for node in nodes:
        found += _walk(node.children, depth + 1)
        for part in node.key_results:
            found += _walk(part.children, depth + 1)
    return found


async def test_a_real_quarter_is_imported_without_loss(
    ledgers: Ledgers, founded: UUID, real: Json
) -> None:
    report = await _import(ledgers, founded, real)
    assert _problems(report) == {}
    counts = {kind: count.created for kind, count in report.counts.items()}
    assert (counts["owners"], counts["objectives"]) == (57, 138)
    assert (counts["key_results"], counts["scores"]) == (336, 50)
    shown = await _tree(ledgers, founded, report)
    summary = shown.summary
    assert (summary.objectives, summary.key_results, summary.scored) == (138, 336, 50)
    assert (summary.levels, summary.unaligned) == (4, 0)
    nodes = _walk(shown.roots)
    assert len(nodes) == 138
    assert {depth for depth, _ in nodes} == {1, 2, 3, 4}

    again = await _import(ledgers, founded, real)
    assert {item.outcome for item in again.items} == {"unchanged"}


async def test_every_word_and_number_of_a_real_quarter_can_be_read_back(
    ledgers: Ledgers, founded: UUID, real: Json
) -> None:
    report = await _import(ledgers, founded, real)
    names = {owner["key"]: owner["name"] for owner in real["owners"]}
    owner_of = {one["key"]: one["owner"] for one in real["objectives"]}
    assert report.cycle_id is not None
    async with ledgers.read(founded) as reader:
        shown_tree = await _tree(ledgers, founded, report)
        views = {view.id: view for _, view in _walk(shown_tree.roots)}
        target_ids: dict[str, UUID] = {}
        for one in real["objectives"]:
            target_ids[one["key"]] = await _id_of(reader, "objective", real["source"], one["key"])
            for part in one["key_results"]:
                id = await _id_of(reader, "key_result", real["source"], part["key"])
                target_ids[part["key"]] = id
        for one in real["objectives"]:
            view = views[target_ids[one["key"]]]
            assert view.title == one["title"].strip()
            assert view.result_text == one["result_text"]
            assert view.owner.name == names[one["owner"]]
            above = [link.target.id for link in view.contributes_to]
            assert above == ([target_ids[one["supports"]]] if one["supports"] else [])
            assert len(view.key_results) == len(one["key_results"])
            for part, shown in zip(one["key_results"], view.key_results, strict=True):
                assert (shown.id, shown.title) == (target_ids[part["key"]], part["title"].strip())
                assert (None if shown.score is None else float(shown.score)) == part["score"]
                stated = part.get("owner") or owner_of[one["key"]]
                own = shown.owner.name if shown.owner else names[one["owner"]]
                assert own == names[stated]
                if part["result_text"]:
                    said = await reader.rows.select(CheckInRow, {"key_result_id": shown.id})
                    assert [check_in.note for check_in in said] == [part["result_text"]]


# Documents that cannot be used ------------------------------------------------------------


def _without(*path: str | int) -> Callable[[Json], None]:
    def change(written: Any) -> None:
        for part in path[:-1]:
            written = written[part]
        del written[path[-1]]

    return change


def _with(value: Any, *path: str | int) -> Callable[[Json], None]:
    def change(written: Any) -> None:
        for part in path[:-1]:
            written = written[part]
        written[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (_without("source"), "/source"),
        (_without("cycle", "name"), "/cycle/name"),
        (_with("x" * 401, "source"), "/source"),
        (_with("soon", "cycle", "starts_on"), "/cycle/starts_on"),
        (_with([], "objectives", 0, "title"), "/objectives/0/title"),
        (_with(1.5, "objectives", 0, "key_results", 0, "score"),
         "/objectives/0/key_results/0/score"),
        (_with("NaN", "objectives", 0, "key_results", 0, "score"),
         "/objectives/0/key_results/0/score"),
        (_with({}, "objectives", 0, "supports"), "/objectives/0/supports"),
        (_with("web", "owners", 1, "parent"), "/owners/1/parent"),
        (_with("press", "owners", 1, "key"), "/owners/1/key"),
        (_with("A", "objectives", 1, "key"), "/objectives/1/key"),
        (_with("nul\0", "objectives", 0, "title"), "/objectives/0/title"),
        (_with(1, "unheard_of"), "/unheard_of"),
        (_with({"kind": "dream"}, "objectives", 0, "key_results", 0, "measure"),
         "/objectives/0/key_results/0/measure"),
    ],
)  # fmt: skip
def test_a_document_of_the_wrong_shape_is_refused_with_pointers(
    change: Callable[[Json], None], pointer: str
) -> None:
    written = _example()
    if pointer == "/owners/1/parent":
        written["owners"][2]["parent"] = written["owners"][1]["key"]
    change(written)
    with pytest.raises(DocumentInvalid) as refused:
        _parsed(written)
    errors: Any = refused.value.facts["errors"]
    assert pointer in [error["pointer"] for error in errors]
    assert all(error["detail"] for error in errors)


@pytest.mark.parametrize("cut", [0, 1, 100, -2])
def test_a_truncated_document_is_no_document(cut: int) -> None:
    with pytest.raises(DocumentInvalid):
        parse(EXAMPLE.read_bytes()[:cut])


@pytest.mark.parametrize(
    "data",
    [b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"source": "\\ud800"}'],
    ids=["list", "null", "text", "not UTF-8", "deep", "surrogate"],
)
def test_what_is_no_document_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentInvalid):
        parse(data)
