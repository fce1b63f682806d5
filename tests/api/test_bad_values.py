"""Text of every script and numbers up to their bounds; and what is beyond them."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.api.programme import METRIC, Api, Json, Stage, pointers


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


async def _refused(
    stage: Stage,
    method: str,
    path: str,
    body: str,
    at: str,
) -> None:
    """The body, given as JSON text, is refused at a pointer or below, and nothing is written."""
    before = await stage.api.head()
    answer = await stage.api.request(
        method,
        path.format(**stage.ids),
        content=body.encode(),
        headers={"Content-Type": "application/json", "If-Match": "*"},
    )
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/invalid"), problem
    assert pointers(problem)
    assert all(pointer.startswith(at) for pointer in pointers(problem)), problem
    assert await stage.api.head() == before


# Text -------------------------------------------------------------------------------------

_BAD_TEXT = [
    pytest.param(r'"a\u0000b"', id="NUL"),
    pytest.param(r'"\u0000"', id="only NUL"),
    pytest.param(r'"a\u001bb"', id="escape"),
    pytest.param(r'"a\u007fb"', id="delete"),
    pytest.param(r'"a\ud800b"', id="high surrogate"),
    pytest.param(r'"a\udc00b"', id="low surrogate"),
    pytest.param(r'"\udc00\ud800"', id="surrogates the wrong way round"),
    pytest.param('""', id="empty"),
    pytest.param('"   "', id="spaces"),
    pytest.param(r'"\t\n\u00a0\u2003\u3000"', id="white space"),
    pytest.param("7", id="number"),
    pytest.param("true", id="boolean"),
]
_BAD_LINE = [
    pytest.param(r'"a\nb"', id="line break"),
    pytest.param(r'"a\rb"', id="carriage return"),
    pytest.param(r'"a\tb"', id="tab"),
    pytest.param(r'"a\u2028b"', id="line separator"),
    pytest.param(r'"a\u0085b"', id="next line"),
    pytest.param(json.dumps("a" * 301), id="301 characters"),
    pytest.param(json.dumps("a" * 1_000_000), id="a million characters"),
]


@pytest.mark.parametrize("text", [*_BAD_TEXT, *_BAD_LINE])
async def test_what_is_no_title_is_refused(stage: Stage, text: str) -> None:
    await _refused(stage, "POST", "/teams", f'{{"name": {text}}}', "/name")
    title = f'{{"title": {text}, "reason": "Sharper words."}}'
    await _refused(stage, "PATCH", "/objectives/{objective_id}", title, "/title")


@pytest.mark.parametrize(
    "text", [*_BAD_TEXT, pytest.param(json.dumps("a" * 10_001), id="10,001 characters")]
)
async def test_what_is_no_prose_is_refused(stage: Stage, text: str) -> None:
    path = "/objectives/{objective_id}:report-result"
    await _refused(stage, "POST", path, f'{{"text": {text}}}', "/text")
    body = f'{{"decision": {{"question": "limits"}}, "rationale": {text}}}'
    await _refused(stage, "PUT", "/deployment/limits", body, "/rationale")
    path = "/key-results/{key_result_id}/check-ins"
    await _refused(stage, "POST", path, f'{{"value": 150, "note": {text}}}', "/note")


@pytest.mark.parametrize(
    "text",
    [
        r'"a\u0000b"',
        r'"a\ud800b"',
        r'"a\nb"',
        '""',
        "7",
        json.dumps("a" * 401),
    ],
)
async def test_what_is_no_key_of_another_system_is_refused(stage: Stage, text: str) -> None:
    for name, other in (("source", "external_id"), ("external_id", "source")):
        body = f'{{"value": 150, "external": {{"{name}": {text}, "{other}": "x"}}}}'
        path = "/key-results/{key_result_id}/check-ins"
        await _refused(stage, "POST", path, body, f"/external/{name}")


@pytest.mark.parametrize(
    "text",
    [
        "\u05e9\u05dc\u05d5\u05dd \u0639\u0627\u0644\u0645",
        "\N{RIGHT-TO-LEFT OVERRIDE}backwards\N{POP DIRECTIONAL FORMATTING}",
        "\N{PILE OF POO}\N{ZERO WIDTH JOINER}\N{ROCKET}\N{VARIATION SELECTOR-16}",
        "e\N{COMBINING ACUTE ACCENT} is not \N{LATIN SMALL LETTER E WITH ACUTE}",
        "\ufffe\uffff\U0010ffff\ue000\ufeff",
        "'; DROP TABLE events; --",
        '<script>alert(1)</script> & "quotes" \\ / {braces} %s $1',
        "\N{MATHEMATICAL BOLD CAPITAL A}" * 300,
    ],
    ids=range(8),
)
async def test_text_of_every_script_comes_back_as_it_was_sent(api: Api, text: str) -> None:
    team = await api.team(text)
    assert team["name"] == text
    assert (await api.get(f"/teams/{team['id']}"))["name"] == text
    assert (await api.get("/teams"))["items"][0]["name"] == text
    (event,) = (await api.get("/events", type="team.formed"))["items"]
    assert event["data"]["name"] == text
    then = await api.head()
    assert (await api.get(f"/teams/{team['id']}", as_of=then))["name"] == text
    cycle = await api.cycle()
    objective = await api.objective(cycle, team, title=text, why=f"{text}\n\n\t{text}")
    assert (objective["title"], objective["why"]) == (text, f"{text}\n\n\t{text}")
    assert objective["owner"]["name"] == text
    external = {"source": text, "external_id": f" {text[:300]} "}
    await api.person(text)
    first = await api.post("/people", {"name": text, "external": external})
    again = await api.refused(
        "already-exists", "POST", "/people", {"name": text, "external": external}
    )
    assert again["existing_id"] == first["id"]
    assert (await api.get("/ledger:verify"))["identical"]


async def test_white_space_around_text_is_taken_away(api: Api) -> None:
    assert (await api.team("  Growth \n"))["name"] == "Growth"


# Numbers ----------------------------------------------------------------------------------

_NO_NUMBER = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1e400",
    str(2**63),
    str(-(2**63) - 1),
    str(10**30),
    '"150"',
    '"1e5"',
    '"NaN"',
    "[150]",
    '{"value": 150}',
]


@pytest.mark.parametrize("number", _NO_NUMBER)
async def test_what_is_no_number_is_refused(stage: Stage, number: str) -> None:
    path = "/key-results/{key_result_id}/check-ins"
    await _refused(stage, "POST", path, f'{{"confidence": {number}}}', "/confidence")
    measure = f'{{"kind": "metric", "unit": "x", "baseline": 1, "target": {number}}}'
    path = "/objectives/{objective_id}/key-results"
    body = f'{{"title": "Stay", "measure": {measure}}}'
    await _refused(stage, "POST", path, body, "/measure")
    body = f'{{"title": "Stay", "measure": {{"kind": "milestone"}}, "weight": {number}}}'
    await _refused(stage, "POST", path, body, "/weight")


@pytest.mark.parametrize("number", [*_NO_NUMBER, "true", "false", "null", "3.5", "0", "-1", "21"])
async def test_what_is_no_count_is_refused(stage: Stage, number: str) -> None:
    body = f'{{"decision": {{"question": "limits", "max_objectives": {number}}}, "rationale": "x"}}'
    await _refused(stage, "PUT", "/deployment/limits", body, "/decision")


@pytest.mark.parametrize("number", ["true", "false", "-0.0001", "1.0001", "2", "null"])
async def test_what_is_no_share_is_refused(stage: Stage, number: str) -> None:
    path = "/key-results/{key_result_id}/check-ins"
    body = f'{{"value": 150, "confidence": {number}}}'
    if number == "null":
        await stage.api.check_in({"id": stage.ids["key_result_id"]}, value=150, confidence=None)
    else:
        await _refused(stage, "POST", path, body, "/confidence")


@pytest.mark.parametrize("value", _NO_NUMBER)
async def test_what_is_no_reading_is_refused(stage: Stage, value: str) -> None:
    path = "/key-results/{key_result_id}/check-ins"
    await _refused(stage, "POST", path, f'{{"value": {value}}}', "/value")


@pytest.mark.parametrize(
    ("method", "path", "body", "at"),
    [
        ("POST", "/key-results/{key_result_id}/check-ins", {"value": "many"}, "/value"),
        (
            "PUT",
            "/deployment/limits",
            {"decision": {"question": "limits", "max_objectives": 99}, "rationale": "Because."},
            "/decision/max_objectives",
        ),
        (
            "POST",
            "/objectives/{objective_id}/key-results",
            {"title": "Stay", "measure": {**METRIC, "target": "many"}},
            "/measure/target",
        ),
        (
            "PATCH",
            "/key-results/{key_result_id}",
            {"measure": {"kind": "milestone", "target": 1}},
            "/measure/target",
        ),
    ],
)
async def test_a_problem_points_into_what_was_sent_where_there_are_several_shapes(
    stage: Stage, method: str, path: str, body: Json, at: str
) -> None:
    answer = await stage.api.request(
        method, path.format(**stage.ids), json=body, headers={"If-Match": "*"}
    )
    assert answer.status_code == 422, answer.text
    assert set(pointers(answer.json())) == {at}


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("0", 0),
        ("-0", 0),
        ("-0.0", 0),
        ("1e9", 10**9),
        ("-1e9", -(10**9)),
        ("0.000001", 0.000001),
        ("1e-400", 0),
        ("0.1000000000000000055511151231257827", 0.1),
        ("1E2", 100),
        ("150.00", 150),
    ],
)
async def test_a_number_comes_back_as_the_decimal_that_it_is(
    stage: Stage, sent: str, shown: float
) -> None:
    answer = await stage.api.request(
        "POST",
        f"/key-results/{stage.ids['key_result_id']}/check-ins",
        content=f'{{"value": {sent}}}'.encode(),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["value"] == shown
    assert f'"value":{json.dumps(shown).replace("1e-06", "1e-6")},' in answer.text
