"""Import of a spreadsheet over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from app.application.import_csv_table import MAX_ROWS
from tests.api.programme import Api, Json, pointers

_HEADING = "Objective,Owner,Key result,Start,Target,Current,Unit,Period,Status"
_ROW = "Ports open,Works,Berths,0,5,{},berths,{},On track"
_MAPPING = {
    "source": "sheet",
    "override": {"by": "ada@example.org", "reason": "We move in with a quarter that has begun."},
}


def _body(*rows: str, **mapping: Any) -> Json:
    return {"csv": "\n".join([_HEADING, *rows]), "mapping": {**_MAPPING, **mapping}}


def _outcomes(report: Json) -> set[str]:
    return {item["outcome"] for one in report["imports"] for item in one["items"]}


async def test_a_spreadsheet_is_imported_and_a_second_time_changes_nothing(api: Api) -> None:
    body = _body(_ROW.format(2, "2026 Q1"))
    dry = await api.request("POST", "/imports/csv", json=body, params={"dry_run": True})
    assert dry.status_code == 200, dry.text
    assert _outcomes(dry.json()) == {"created"}
    assert dry.headers["Ledger-Position"] == str(dry.json()["imports"][0]["position"])
    report = await api.post("/imports/csv", body)
    assert _outcomes(report) == {"created"}
    (imported,) = report["imports"]
    tree = await api.get(f"/cycles/{imported['cycle_id']}/tree")
    assert tree["summary"]["key_results"] == 1
    before = await api.head()
    again = await api.post("/imports/csv", body)
    assert _outcomes(again) == {"unchanged"}
    assert await api.head() == before


async def test_a_period_has_a_report_of_its_own_and_what_was_inferred_is_told(api: Api) -> None:
    body = _body(_ROW.format(2, "2026 Q2"), _ROW.format(3, "2026 Q1"), phase="drafting")
    report = await api.post("/imports/csv", body)
    cycles = [
        next(item["key"] for item in one["items"] if item["kind"] == "cycles")
        for one in report["imports"]
    ]
    assert cycles == ["2026 Q1", "2026 Q2"]
    assert {"row": 2, "column": None, "more": 1} in [
        {name: told[name] for name in ("row", "column", "more")} for told in report["warnings"]
    ]


@pytest.mark.parametrize(
    ("rows", "detail"),
    [
        (["Ports open,Works,Berths,0,many,,berths,Winter,"], "row 2, Target: 'many' is no number"),
        (["Ports\x00,Works,Berths,0,5,,berths,2026 Q1,"], "row 2, Objective: has the control"),
        ([_ROW.format(2, "2026 Q1")] * (MAX_ROWS + 1), f"more than {MAX_ROWS:,} rows"),
    ],
)
async def test_rows_that_must_be_changed_are_told_and_nothing_is_recorded(
    api: Api, rows: list[str], detail: str
) -> None:
    before = await api.head()
    problem = await api.refused("document-invalid", "POST", "/imports/csv", _body(*rows))
    assert set(pointers(problem)) == {"/csv"}
    assert any(detail in one["detail"] for one in problem["errors"])
    assert await api.head() == before


@pytest.mark.parametrize(
    ("mapping", "pointer"),
    [
        ({"columns": {"moon": "x"}}, "/mapping/columns"),
        ({"statuses": {"x": "sunny"}}, "/mapping/statuses/x"),
        ({"fiscal_year_starts": 13}, "/mapping/fiscal_year_starts"),
        ({"override": {"by": "Ada", "reason": "x"}}, "/mapping/override/by"),
    ],
)
async def test_a_mistake_in_the_mapping_is_pointed_at(
    api: Api, mapping: Json, pointer: str
) -> None:
    problem = await api.refused("invalid", "POST", "/imports/csv", _body("a", **mapping))
    assert any(one.startswith(pointer) for one in pointers(problem)), problem


async def test_a_spreadsheet_may_be_as_large_as_an_import_document(api: Api) -> None:
    comment = "x" * 9_000
    rows = [
        f"{_ROW.format(n, '2026 Q1').replace('Berths', f'Berths {n}')},{comment}"
        for n in range(300)
    ]
    body = {"csv": "\n".join([f"{_HEADING},Comment", *rows]), "mapping": {"phase": "drafting"}}
    answer = await api.request("POST", "/imports/csv", json=body, params={"dry_run": True})
    assert answer.status_code == 200, answer.text[:500]
