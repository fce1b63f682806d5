"""Lists as CSV: every item once, flat, quoted, and harmless to a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from app.api.exports import columns, is_wanted
from app.publish import published
from app.queries.goals import KeyResultView
from tests.api.programme import METRIC, OF_SOMEBODY, ROUTES, Api, Json, Stage, each_of

_DOCUMENT: Json = json.loads(published()["openapi.json"])
_NO_SHEETS = {
    "get_reminders": "what is due of cycles in one answer of at most 500, for a message or a bot",
    "list_checkpoints": "proofs, which are verified as they are: okr audit takes them in a bundle",
}
"""What has items and is no sheet, and why."""


def _listing() -> dict[str, Json]:
    """By their names, the operations that answer with items."""
    schemas = _DOCUMENT["components"]["schemas"]
    found = {}
    for path in _DOCUMENT["paths"].values():
        operation = path.get("get")
        content = operation["responses"]["200"].get("content", {}) if operation else {}
        schema = content.get("application/json", {}).get("schema", {})
        schema = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
        if schema.get("properties", {}).get("items", {}).get("type") == "array":
            found[operation["operationId"]] = operation
    return found


_LISTS = [route for route in ROUTES if route.operation_id in _listing().keys() - _NO_SHEETS.keys()]
_OF_AN_ORGANIZATION = [route for route in _LISTS if "{organization_id}" in route.path_format]
every_list = each_of(_OF_AN_ORGANIZATION)


def test_every_list_can_be_had_as_csv_but_those_that_are_none() -> None:
    without = set()
    for name, operation in _listing().items():
        named = {parameter["name"] for parameter in operation.get("parameters", ())}
        offered = "text/csv" in operation["responses"]["200"]["content"]
        assert offered == ("format" in named), name
        if not offered:
            without.add(name)
    assert without == _NO_SHEETS.keys()


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    """An organisation with one of everything that is listed."""
    stage = await (await Api.found(http, operator_key)).one_of_each()
    api, ids = stage.api, stage.ids
    # One more than was decided: a warning.
    await api.objective({"id": ids["cycle_id"]}, {"id": ids["team_id"]})
    return stage


@pytest.fixture(scope="module")
async def hers(stage: Stage) -> Stage:
    """The same, as somebody sees it who has goals."""
    key = await stage.api.key_for("read", person_id=stage.ids["person_id"])
    return stage.with_key(key.key)


async def _ask(
    stage: Stage, route: APIRoute, *, headers: dict[str, str] | None = None, **query: Any
) -> httpx.Response:
    if str(route.operation_id).endswith("check_ins_due"):
        query = {"until": "2099-12-31", **query}
    if route.operation_id == "list_reflections":
        stage = stage.at(cycle_id=stage.ids["ended_cycle_id"])
    answer = await stage.call(route, headers=headers, params=query)
    assert answer.status_code in (200, 304), answer.text
    return answer


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


def _told(row: dict[str, str], name: str, value: Any) -> None:
    """A cell, or the cells of what has parts, say what JSON says."""
    if isinstance(value, dict) and name not in row:
        for inner, told in value.items():
            _told(row, f"{name}.{inner}", told)
    elif value is None and name not in row:
        inside = [told for column, told in row.items() if column.startswith(f"{name}.")]
        assert {*inside} == {""}
    elif not isinstance(value, list | dict):
        assert row[name] == _cell(value), name
    elif name in row and row[name].startswith(("[", "{")):
        assert json.loads(row[name]) == value, name
    elif isinstance(value, list):
        places = (name, f"{name}.id", f"{name}.person_id")
        (cell,) = (row[place] for place in places if place in row)
        ids = [one.get("id") or one["person_id"] if isinstance(one, dict) else one for one in value]
        assert cell.split() == ids, name
    else:
        raise AssertionError(f"{name}: {value} is not told by {row}")


@every_list
async def test_a_sheet_says_what_the_list_says(route: APIRoute, stage: Stage, hers: Stage) -> None:
    who = hers if route.operation_id in OF_SOMEBODY else stage
    items = (await _ask(who, route, page_size=500)).json()["items"]
    rows = _rows(await _ask(who, route, format="csv"))
    assert len(rows) == len(items) > 0
    for item, row in zip(items, rows, strict=True):
        assert None not in row
        for name, value in item.items():
            _told(row, name, value)


async def test_the_organisations_can_be_had_as_csv(hers: Stage) -> None:
    (route,) = (one for one in _LISTS if one not in _OF_AN_ORGANIZATION)
    as_json = await _ask(hers, route)
    for asked in ({"format": "csv"}, {}):
        headers = {} if asked else {"Accept": "text/csv"}
        answer = await _ask(hers, route, headers=headers, **asked)
        assert [row["id"] for row in _rows(answer)] == [hers.ids["organization_id"]]
        disposition = answer.headers["Content-Disposition"]
        assert disposition == 'attachment; filename="organizations.csv"'
        assert as_json.headers["Vary"] == answer.headers["Vary"] == "Accept"
    assert [one["id"] for one in as_json.json()["items"]] == [hers.ids["organization_id"]]


@every_list
async def test_the_accept_header_asks_for_a_sheet_too_and_the_parameter_is_stronger(
    route: APIRoute, stage: Stage, hers: Stage
) -> None:
    who = hers if route.operation_id in OF_SOMEBODY else stage
    by_name = await _ask(who, route, format="csv")
    by_header = await _ask(who, route, headers={"Accept": "text/csv"})
    assert by_header.content == by_name.content
    answer = await _ask(who, route, headers={"Accept": "text/csv"}, format="json")
    assert answer.json() == (await _ask(who, route)).json()
    for one in (by_name, by_header, answer):
        assert one.headers["Vary"] == "Accept"
        assert int(one.headers["Ledger-Position"]) == await stage.api.head()
    name = by_name.url.path.rpartition("/")[2]
    assert by_name.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'


@every_list
async def test_a_sheet_that_has_not_changed_is_not_sent_again(
    route: APIRoute, stage: Stage, hers: Stage
) -> None:
    who = hers if route.operation_id in OF_SOMEBODY else stage
    full = await _ask(who, route, format="csv")
    known = {"If-None-Match": full.headers["ETag"]}
    again = await _ask(who, route, headers=known, format="csv")
    assert (again.status_code, again.content) == (304, b"")
    assert "Content-Disposition" not in again.headers
    as_json = await _ask(who, route, headers=known)
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


async def test_of_a_list_of_texts_and_of_what_was_recorded_the_cell_has_json(api: Api) -> None:
    ended, said = await api.cycle("scoring"), ["Talks,\nweekly", 'A "good" start']
    await api.post(f"/cycles/{ended['id']}/reflections", {"worked": said})
    (row,) = await _sheet(api, f"/cycles/{ended['id']}/reflections")
    assert json.loads(row["worked"]) == said
    assert (row["did_not_work"], row["participants"]) == ("", "")
    *_, last = await _sheet(api, "/events")
    assert last["type"] == "reflection.recorded"
    (_, event) = (await api.get("/events"))["items"][-2:]
    assert json.loads(last["data"]) == event["data"]


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
    for path, name in (
        ("/events", "position"),
        ("/diff", "id"),
        (f"/cycles/{cycle['id']}/timeline", "position"),
    ):
        rows, page = await _sheet(api, path), await api.get(path, page_size=500)
        told = [str(item[name]) for item in page["items"]]
        rest = await _sheet(api, path, page_token=page["next_page_token"])
        assert [row[name] for row in rows] == told + [row[name] for row in rest]
        assert len(told) == 500
        assert len({row[name] for row in rest}) == len(rest) > 20


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


async def test_what_is_no_list_takes_no_format(api: Api) -> None:
    for path in ("/reminders", f"/teams/{(await api.team())['id']}"):
        problem: Json = await api.refused("invalid", "GET", f"{path}?format=csv")
        assert problem["errors"][0]["pointer"] == "format"
