"""Days and moments up to the ends of the calendar; and what is none."""

from __future__ import annotations

import httpx
import pytest

from tests.api.programme import Api, Stage, pointers

_INVALID = (422, "/problems/invalid")


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


async def _refused(
    stage: Stage,
    method: str,
    path: str,
    body: str,
    at: str,
    expected: tuple[int, str] = _INVALID,
) -> None:
    """The body, given as JSON text, is refused at a pointer, and nothing is written."""
    before = await stage.api.head()
    answer = await stage.api.request(
        method,
        path.format(**stage.ids),
        content=body.encode(),
        headers={"Content-Type": "application/json", "If-Match": "*"},
    )
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == expected, problem
    assert set(pointers(problem)) == {at}, problem
    assert await stage.api.head() == before


# Days and moments -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "day",
    [
        '"2026-13-01"',
        '"2026-02-30"',
        '"0000-01-01"',
        '"10000-01-01"',
        '"-0001-01-01"',
        '"2026-1-1"',
        '"01.01.2026"',
        '"2026-01-01T12:00:00Z"',
        '"1767225600"',
        '""',
        "1767225600",
        "20260101",
        "null",
        "true",
    ],
)
async def test_what_is_no_day_is_refused(stage: Stage, day: str) -> None:
    body = f'{{"name": "Q1", "starts_on": {day}, "ends_on": "2026-03-31"}}'
    await _refused(stage, "POST", "/cycles", body, "/starts_on")


_NO_MOMENT = [
    '"2026-01-01T00:00:00"',
    '"2026-01-01"',
    '"10000-01-01T00:00:00Z"',
    '"0001-01-01T00:00:00+01:00"',
    '"9999-12-31T23:59:59-01:00"',
    '"2026-01-01T25:00:00Z"',
    '"2026-01-01T00:00:00+25:00"',
    '"2026-02-30T00:00:00Z"',
    '"1767225600"',
    '"1767225600.5"',
    '"-1"',
    '"yesterday"',
    '""',
    "1767225600",
    "1e400",
    "NaN",
    "true",
]


@pytest.mark.parametrize("moment", _NO_MOMENT)
async def test_what_is_no_moment_is_refused(stage: Stage, moment: str) -> None:
    path = "/key-results/{key_result_id}/check-ins"
    await _refused(stage, "POST", path, f'{{"occurred_at": {moment}}}', "/occurred_at")
    body = f'{{"name": "Test", "scopes": ["read"], "expires_at": {moment}}}'
    await _refused(stage, "POST", "/api-keys", body, "/expires_at")


@pytest.mark.parametrize(
    ("starts_on", "ends_on"), [("0001-01-01", "0001-03-31"), ("9999-10-01", "9999-12-31")]
)
async def test_a_cycle_may_lie_at_the_ends_of_the_calendar(
    api: Api, starts_on: str, ends_on: str
) -> None:
    cycle, team = await api.cycle(starts_on=starts_on, ends_on=ends_on), await api.team()
    assert (cycle["starts_on"], cycle["ends_on"]) == (starts_on, ends_on)
    objective = await api.commit(await api.objective(cycle, team))
    await api.open_anyway(cycle)
    await api.check_in(objective["key_results"][0], value=150)
    await api.get(f"/cycles/{cycle['id']}/tree")
    await api.move(cycle, "begin-scoring", "begin-reflection", "close")
    await api.get(f"/cycles/{cycle['id']}/tree", as_of=await api.head())
    assert (await api.get("/ledger:verify"))["identical"]


@pytest.mark.parametrize(
    ("starts_on", "ends_on", "type"),
    [
        ("0001-01-01", "9999-12-31", "decision-refuses"),
        ("9999-12-31", "0001-01-01", "refused"),
        ("9999-12-31", "9999-12-31", "refused"),
    ],
)
async def test_a_cycle_has_a_beginning_before_its_end_and_a_length(
    api: Api, starts_on: str, ends_on: str, type: str
) -> None:
    body = {"name": "Long", "starts_on": starts_on, "ends_on": ends_on}
    assert pointers(await api.refused(type, "POST", "/cycles", body)) == ["/ends_on"]


@pytest.mark.parametrize("moment", ["0002-01-01T00:00:00Z", "9998-12-31T23:59:59.999999Z"])
async def test_a_check_in_outside_its_cycle_is_refused_however_far(
    stage: Stage, moment: str
) -> None:
    path = "/key-results/{key_result_id}/check-ins"
    body = f'{{"value": 150, "occurred_at": "{moment}"}}'
    expected = (409, "/problems/outside-cycle")
    await _refused(stage, "POST", path, body, "/occurred_at", expected)


_FIRST, _LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"


async def test_a_key_that_ends_with_time_itself_works_or_is_refused(api: Api) -> None:
    body = {"name": "Test", "scopes": ["read"], "expires_at": _LAST}
    issued = await api.request("POST", "/api-keys", json=body)
    assert issued.status_code in (201, 422)
    if issued.status_code == 201:
        assert issued.json()["expires_at"] == _LAST
        assert await api.with_key(issued.json()["key"]).get("/people")


async def test_a_check_in_at_the_beginning_of_time_is_shown_as_sent_or_is_refused(api: Api) -> None:
    cycle = await api.cycle(starts_on="0001-01-01", ends_on="0001-03-31")
    objective = await api.commit(await api.objective(cycle, await api.team()))
    await api.move(cycle, "open")
    path = f"/key-results/{objective['key_results'][0]['id']}/check-ins"
    answer = await api.request("POST", path, json={"value": 150, "occurred_at": _FIRST})
    assert answer.status_code in (201, 409, 422)
    if answer.status_code == 201:
        assert answer.json()["occurred_at"] == _FIRST
        shown = await api.get(f"/key-results/{objective['key_results'][0]['id']}")
        assert shown["last_check_in_at"] == _FIRST
    assert (await api.get("/ledger:verify"))["identical"]


# Looking back -----------------------------------------------------------------------------

_OUTSIDE = (404, "/problems/outside-ledger")


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        ("0", _OUTSIDE),
        ("1000000", _OUTSIDE),
        ("9" * 18, _OUTSIDE),
        ("2999-01-01T00:00:00Z", _OUTSIDE),
        ("9998-12-31T23:59:59Z", _OUTSIDE),
        ("0002-01-01T00:00:00Z", _OUTSIDE),
        ("2020-01-01T00:00:00%2B05:30", _OUTSIDE),
        ("2020-01-01T00:00:00+05:30", _OUTSIDE),
        ("9" * 19, _INVALID),
        ("9" * 5_000, _INVALID),
        ("-1", _INVALID),
        ("%2B5", _INVALID),
        ("1.5", _INVALID),
        ("1e3", _INVALID),
        ("0x10", _INVALID),
        ("%C2%B2", _INVALID),
        ("", _INVALID),
        ("now", _INVALID),
        ("2026-01-01", _INVALID),
        ("2026-01-01T00:00:00", _INVALID),
        ("10000-01-01T00:00:00Z", _INVALID),
        ("0001-01-01T00:00:00%2B14:00", _INVALID),
        ("9999-12-31T23:59:59-14:00", _INVALID),
        ("%ff", _INVALID),
        ("%00", _INVALID),
    ],
)
async def test_what_is_no_moment_of_the_ledger_is_refused(
    stage: Stage, as_of: str, expected: tuple[int, str]
) -> None:
    for path in ("", "/teams", "/cycles/{cycle_id}/tree", "/events"):
        answer = await stage.api.request("GET", f"{path}?as_of={as_of}".format(**stage.ids))
        assert (answer.status_code, answer.json()["type"]) == expected, answer.text
        assert pointers(answer.json()) == ["as_of"]


async def test_a_moment_is_the_same_in_every_zone_and_spelling(api: Api) -> None:
    await api.team()
    at = (await api.get("/ledger"))["at"]
    await api.team("Later")
    utc = at.replace("Z", "+00:00")
    for spelling in (at, utc, utc.replace("+", "%2B"), at.lower()):
        answer = await api.request("GET", f"/teams?as_of={spelling}")
        assert [team["name"] for team in answer.json()["items"]] == ["Growth"], answer.text
