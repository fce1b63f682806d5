"""Lists as CSV: every item once, flat, quoted, and harmless to a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import pytest

from app.api.exports import columns, is_wanted
from app.queries.goals import KeyResultView
from tests.api.programme import METRIC, Api, Json, Stage

_EXPORTED = {
    "/objectives",
    "/key-results",
    "/key-results/{key_result_id}/check-ins",
    "/people",
    "/teams",
    "/cycles",
    "/alignments",
    "/dependencies",
    "/blockers",
}
every_list = pytest.mark.parametrize("template", sorted(_EXPORTED))


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


async def _sheet(api: Api, path: str, **query: Any) -> list[dict[str, str]]:
    answer = await api.request("GET", path, params={"format": "csv", **query})
    assert answer.status_code == 200, answer.text
    return _rows(answer)


def _rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    text = answer.content.decode("utf-8")
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@every_list
async def test_a_sheet_says_what_the_list_says(template: str, stage: Stage) -> None:
    path = template.format(**stage.ids)
    items = (await stage.api.get(path, page_size=500))["items"]
    rows = await _sheet(stage.api, path)
    assert len(rows) == len(items) > 0
    for item, row in zip(items, rows, strict=True):
        assert None not in row
        for name, value in item.items():
            if isinstance(value, dict):
                for inner, told in value.items():
                    if not isinstance(told, dict | list):
                        assert row[f"{name}.{inner}"] == _cell(told)
            elif value is None and name not in row:
                inside = [told for column, told in row.items() if column.startswith(f"{name}.")]
                assert {*inside} == {""}
            elif not isinstance(value, list):
                assert row[name] == _cell(value), name


@every_list
async def test_the_accept_header_asks_for_a_sheet_too_and_the_parameter_is_stronger(
    template: str, stage: Stage
) -> None:
    path = template.format(**stage.ids)
    by_name = await stage.api.request("GET", path, params={"format": "csv"})
    by_header = await stage.api.request("GET", path, headers={"Accept": "text/csv"})
    assert by_header.content == by_name.content
    answer = await stage.api.request(
        "GET", path, params={"format": "json"}, headers={"Accept": "text/csv"}
    )
    assert answer.json() == await stage.api.get(path)
    for one in (by_name, by_header, answer):
        assert one.headers["Vary"] == "Accept"
        assert int(one.headers["Ledger-Position"]) == await stage.api.head()
    name = path.rpartition("/")[2]
    assert by_name.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'


@every_list
async def test_a_sheet_that_has_not_changed_is_not_sent_again(template: str, stage: Stage) -> None:
    path = template.format(**stage.ids)
    full = await stage.api.request("GET", path, params={"format": "csv"})
    known = {"If-None-Match": full.headers["ETag"]}
    again = await stage.api.request("GET", path, params={"format": "csv"}, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert "Content-Disposition" not in again.headers
    as_json = await stage.api.request("GET", path, headers=known)
    assert as_json.status_code == 200


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/csv", True),
        ("TEXT/CSV; charset=utf-8", True),
        ("text/csv, application/json;q=0.5", True),
        ("text/csv;q=0.9, */*;q=0.1", True),
        ("application/json, text/csv", False),
        ("text/csv;q=0", False),
        ("text/csv;q=x", False),
        ("*/*", False),
        ("", False),
        (";;,,=;q=", False),
    ],
)
def test_csv_is_wanted_where_it_is_named_and_json_is_not_liked_better(
    accept: str, expected: bool
) -> None:
    assert is_wanted(accept) is expected


# Cells ------------------------------------------------------------------------------------


_HARMFUL = ["=1+1", "+49 30 1", "-1", "@SUM(A1)", '=HYPERLINK("http://example.org","a")']


async def test_a_cell_that_would_be_a_formula_gets_an_apostrophe(api: Api) -> None:
    for name in [*_HARMFUL, "a=1", "'=1", "1-1"]:
        await api.team(name)
    shown = [row["name"] for row in await _sheet(api, "/teams")]
    assert shown == [*(f"'{name}" for name in _HARMFUL), "a=1", "'=1", "1-1"]
    assert [team["name"] for team in (await api.get("/teams"))["items"]][:2] == _HARMFUL[:2]


async def test_a_number_below_zero_stays_a_number(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    measure = {**METRIC, "baseline": -5, "target": 0.25}
    part = {"title": "Loss", "measure": measure}
    await api.objective(cycle, team, key_results=[part])
    (row,) = await _sheet(api, "/key-results")
    told = (row["measure.kind"], row["measure.baseline"], row["measure.target"], row["weight"])
    assert told == ("metric", "-5", "0.25", "1")


async def test_quotes_commas_line_breaks_and_every_script_survive(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team('A "b", c;d')
    why = 'One\nTwo, "three"\n\N{SNOWMAN} \N{HEBREW LETTER ALEF} \U0001f600'
    await api.objective(cycle, team, why=why)
    (row,) = await _sheet(api, "/objectives")
    assert (row["why"], row["owner.name"]) == (why, 'A "b", c;d')
    assert (row["outcome"], row["why_now"]) == ("", "")


async def test_of_a_list_in_an_item_the_cell_has_the_ids(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    people = [await api.person(), await api.person("Ben")]
    for person in people:
        await api.put(f"/teams/{team['id']}/members/{person['id']}", {"role": "member"})
    parts = [{"title": "One"}, {"title": "Two"}]
    goal = await api.objective(cycle, team, key_results=parts)
    (objective,) = await _sheet(api, "/objectives")
    assert objective["key_results.id"].split() == [part["id"] for part in goal["key_results"]]
    assert objective["contributes_to.id"] == ""
    (row,) = await _sheet(api, "/teams")
    assert set(row["members.person_id"].split()) == {person["id"] for person in people}


def test_a_union_has_the_columns_of_all_its_members() -> None:
    names = [column.name for column in columns(KeyResultView)]
    assert len(names) == len(set(names))
    assert {"measure.kind", "measure.baseline", "measure.bound", "measure.levels.target"} <= {
        *names
    }
    assert {"owner.kind", "owner.id", "owner.name", "value"} <= {*names}
    assert not {"measure", "owner", "measure.levels"} & {*names}


# What is in a sheet -----------------------------------------------------------------------


async def test_an_empty_list_is_a_header(api: Api) -> None:
    answer = await api.request("GET", "/blockers", params={"format": "csv"})
    assert _rows(answer) == []
    assert answer.text.startswith("id,version,key_result_id,")


async def test_a_sheet_has_all_pages_of_what_is_asked_for(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    drafts = [{"title": f"Key result {number}", "measure": METRIC} for number in range(20)]
    for _ in range(26):
        await api.objective(cycle, team, key_results=drafts)
    rows = await _sheet(api, "/key-results", page_size=3)
    assert len(rows) == len({row["id"] for row in rows}) == 520
    some = await _sheet(api, "/key-results", text="result 19", sort="-title")
    assert [row["title"] for row in some] == ["Key result 19"] * 26
    whole = await _sheet(api, "/key-results", sort="title")
    assert [row["title"] for row in whole] == sorted(row["title"] for row in whole)
    page = await api.get("/key-results", page_size=500)
    rest = await _sheet(api, "/key-results", page_token=page["next_page_token"])
    assert [row["id"] for row in rest] == [row["id"] for row in rows[500:]]


async def test_a_sheet_shows_the_past(api: Api) -> None:
    team = await api.team("Before")
    head = await api.head()
    await api.patch(f"/teams/{team['id']}", {"name": "After"})
    assert [row["name"] for row in await _sheet(api, "/teams", as_of=head)] == ["Before"]


async def test_withheld_scores_stay_withheld(api: Api) -> None:
    await api.decide("levels", owners=["company", "team", "individual"])
    cycle, ada = await api.cycle(), await api.person()
    own = {"kind": "person", "id": ada["id"]}
    goal = await api.commit(await api.objective(cycle, ada, owner=own))
    await api.open_anyway(cycle)
    (part,) = goal["key_results"]
    await api.check_in(part, value=170)
    await api.move(cycle, "begin-scoring")
    await api.score(part)
    await api.decide("performance_reviews", individual_scores_visible_to=["owner"])
    reader = await api.key_for("read")
    (seen,) = await _sheet(reader, "/key-results")
    assert (seen["score"], seen["computed_score"], seen["score_comment"]) == ("", "", "")
    assert seen["withheld"].startswith("Scores of somebody's own objectives")
    assert [row["score"] for row in await _sheet(reader, "/objectives")] == [""]
    auditor = await api.key_for("read", "history:read")
    assert [row["score"] for row in await _sheet(auditor, "/key-results")] == ["0.7"]


# Requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["", "CSV", "xlsx", "text/csv", "csv,json"])
async def test_a_format_that_there_is_not_is_invalid(api: Api, format: str) -> None:
    answer = await api.request("GET", "/teams", params={"format": format})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")


async def test_what_fails_is_a_problem_and_no_sheet(api: Api, stage: Stage) -> None:
    unknown = f"/key-results/{stage.ids['key_result_id']}/check-ins"
    for path, query, status in (
        (unknown, {}, 404),
        ("/teams", {"as_of": 10**9}, 404),
        ("/teams", {"page_token": "x"}, 400),
        ("/objectives", {"sort": "size"}, 422),
    ):
        answer = await api.request("GET", path, params={"format": "csv", **query})
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_list_that_is_no_sheet_takes_no_format(api: Api) -> None:
    path = f"/teams/{(await api.team())['id']}/objectives"
    problem: Json = await api.refused("invalid", "GET", f"{path}?format=csv")
    assert problem["errors"][0]["pointer"] == "format"
