"""`okr check-in`: one check-in, and tables of them, against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.cli_check_in import TOGETHER, CannotCheckIn, batches, item_of, rows
from tests.api.programme import METRIC, UNKNOWN, Api, Json
from tests.conftest import Database
from tests.server import run, serving

PAGE = Path(__file__).resolve().parents[1] / "docs" / "integrations.md"


@pytest.fixture(scope="module")
def base(database: Database) -> Iterator[str]:
    with serving(database.url) as base:
        yield base


@pytest.fixture
async def here(http: httpx.AsyncClient, operator_key: str) -> Api:
    """An organisation, reached with a key that opens only this one."""
    api = await Api.found(http, operator_key)
    return await api.key_for(
        *("read", "history:read", "check-ins:write", "organization:write", "deployment:write"),
        *("people:write", "cycles:write", "objectives:write", "keys:write"),
        person_id=(await api.admin())["id"],
    )


async def _key_results(api: Api, number: int = 3) -> list[str]:
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": f"Figure {n}", "measure": METRIC} for n in range(number)]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.open_anyway(cycle)
    return [one["id"] for one in objective["key_results"]]


def _invoked(key: str, *arguments: str | Path) -> tuple[int, str]:
    """The command's exit status and all that it says, without the time a process takes to start."""
    done = CliRunner().invoke(app, ["check-in", *map(str, arguments)], env={"OKR_KEY": key})
    said = f"{done.exception}\n" if isinstance(done.exception, CannotCheckIn) else ""
    assert said or done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output + said


async def _okr(api: Api, base: str, *arguments: str | Path) -> tuple[int, str]:
    return await asyncio.to_thread(_invoked, api.key, *arguments, "--server", base)


async def _said(api: Api, key_result: str) -> list[Json]:
    found: list[Json] = (await api.get(f"/key-results/{key_result}/check-ins"))["items"]
    return found


def _table(folder: Path, *lines: str, heading: str = "key_result,value,external_id") -> Path:
    table = folder / "figures.csv"
    table.write_text("\n".join((heading, *lines)) + "\n")
    return table


# One --------------------------------------------------------------------------------------


async def test_one_check_in_is_said_on_the_command_line(
    here: Api, base: str, tmp_path: Path
) -> None:
    (key_result,) = await _key_results(here, 1)
    said = ("--value", "150.5", "--confidence", "0.7", "--note", "Half way.", "--health", "at_risk")
    command = ("check-in", key_result, *said, "--server", base)
    assert await asyncio.to_thread(run, tmp_path, *command, OKR_KEY=here.key) == (
        0,
        "1 recorded, 0 known already, 0 refused.\n",
    )
    (made,) = await _said(here, key_result)
    assert (made["value"], made["confidence"], made["note"], made["health"]) == (
        150.5,
        0.7,
        "Half way.",
        "at_risk",
    )


async def test_one_that_is_refused_says_why(here: Api, base: str) -> None:
    (key_result,) = await _key_results(here, 1)
    status, out = await _okr(here, base, key_result, "--value", "true")
    assert (status, "(wrong-kind)" in out) == (2, True)
    status, out = await _okr(here, base, key_result, "--confidence", "7")
    assert (status, "confidence: " in out) == (2, True)
    status, out = await _okr(here, base, UNKNOWN, "--value", "1")
    assert (status, "key_result_id: There is no key result" in out) == (2, True)
    assert await _said(here, key_result) == []


async def test_an_external_id_makes_a_second_delivery_known(here: Api, base: str) -> None:
    (key_result,) = await _key_results(here, 1)
    said = (key_result, "--value", "150", "--external-id", "week 7", "--source", "crm")
    assert "1 recorded" in (await _okr(here, base, *said))[1]
    assert await _okr(here, base, *said) == (
        0,
        "0 recorded, 1 known already, 0 refused.\n",
    )
    assert len(await _said(here, key_result)) == 1


@pytest.mark.parametrize("arguments", [(), ("x", "--csv", "y"), ("--csv", "y", "--value", "1")])
def test_one_or_a_table_is_asked_for(arguments: tuple[str, ...]) -> None:
    status, out = _invoked("x", *arguments)
    assert (status, "Name a key result" in out) == (2, True)


async def test_what_is_wrong_with_server_or_key_is_said_in_a_line(
    here: Api, base: str, operator_key: str
) -> None:
    wrong = here.with_key("okr_live_x")
    status, out = await _okr(wrong, base, UNKNOWN, "--value", "1")
    assert (status, out.startswith("401: ")) == (1, True)
    status, out = await _okr(here.with_key(""), base, UNKNOWN, "--value", "1")
    assert (status, out.startswith("Set OKR_KEY")) == (1, True)
    status, out = await _okr(here, "nowhere", UNKNOWN, "--value", "1")
    assert status == 1
    await Api.found(here.client, operator_key)
    status, out = await _okr(here.with_key(operator_key), base, UNKNOWN, "--value", "1")
    assert (status, "name one: --organization" in out) == (1, True)


# Tables -----------------------------------------------------------------------------------


async def test_a_table_is_recorded_and_its_refused_rows_are_told(
    here: Api, base: str, tmp_path: Path
) -> None:
    one, two, _ = await _key_results(here)
    table = _table(
        tmp_path,
        f"{one},110,a",
        f"{two},true,b",
        "",
        f"{UNKNOWN},120,c",
        f"{two},12O,d",
        f"{two},130,e,too,many",
        f"{two},140,f",
    )
    status, out = await _okr(here, base, "--csv", table)
    assert status == 2
    assert "2 recorded, 0 known already, 4 refused." in out
    told = dict(re.findall(r"figures\.csv, line (\d+): (.*)", out))
    assert set(told) == {"3", "5", "6", "7"}
    assert told["3"].endswith("(wrong-kind)")
    assert told["5"].startswith("key_result_id: There is no key result")
    assert told["6"].endswith("(invalid)")
    assert told["7"] == "It has 5 cells for 3 columns."

    again = table.read_text().replace("true", "135")
    table.write_text(again)
    status, out = await _okr(here, base, "--csv", table)
    assert "1 recorded, 2 known already, 3 refused." in out
    assert [one["value"] for one in await _said(here, two)] == [140, 135]


async def test_a_table_without_external_ids_may_be_sent_again_as_long_as_it_is_the_same(
    here: Api, base: str, tmp_path: Path
) -> None:
    (key_result,) = await _key_results(here, 1)
    number = TOGETHER + 3
    lines = [f"{key_result},{n}" for n in range(number)]
    table = _table(tmp_path, *lines, heading="key_result,value")
    status, out = await _okr(here, base, "--csv", table)
    assert (status, f"{number} recorded, 0 known" in out) == (0, True), out
    status, out = await _okr(here, base, "--csv", table)
    assert (status, f"0 recorded, {number} known" in out) == (0, True), out
    # Of a file that was written anew, the same figures are another day's.
    os.utime(table, (1, 1))
    status, out = await _okr(here, base, "--csv", table)
    assert f"{number} recorded" in out


async def test_columns_may_be_as_a_spreadsheet_writes_them(
    here: Api, base: str, tmp_path: Path
) -> None:
    (key_result,) = await _key_results(here, 1)
    table = tmp_path / "figures.csv"
    table.write_bytes(
        "\ufeffKey result;Value;Confidence;Note;Next steps\r\n"
        f'{key_result};150;0.5;"Grüße; und\r\nmehr";Weiter\r\n'.encode()
    )
    status, out = await _okr(here, base, "--csv", table)
    assert (status, "1 recorded" in out) == (0, True), out
    (made,) = await _said(here, key_result)
    assert (made["value"], made["next_steps"]) == (150, "Weiter")
    assert made["note"].replace("\r\n", "\n") == "Grüße; und\nmehr"


def _read(table: Path) -> list[Any]:
    return [row.item for row in rows(table, "crm", lambda *_: None, lambda _: None)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "names the columns"),
        (b"value,note\n1,x\n", "names the columns"),
        (b"key_result,value,value\n", "names the columns"),
        (b"key_result,mood\n", "no column 'mood'"),
        ("key_result,note\nx,Grüße\n".encode("latin-1"), "line 2, is not UTF-8"),
        ("key_result,note\nx,y\n".encode("utf-16"), "line 1, is not UTF-8"),
        (b'key_result,note\nx,"a"b\n', "line 2"),
        (b'key_result,note\nx,"never ends\n' + b"and on\n" * 20_000, "line"),
        (b'key_result,note\nx,"never ends', "line 2"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_such_table_is_told(content: bytes, why: str, tmp_path: Path) -> None:
    table = tmp_path / "figures.csv"
    table.write_bytes(content)
    with pytest.raises(CannotCheckIn, match=re.escape(why)):
        _read(table)


def test_a_control_character_is_left_to_the_server(tmp_path: Path) -> None:
    table = tmp_path / "figures.csv"
    table.write_bytes(b"key_result,note\nx,a\0b\n")
    assert _read(table) == [{"key_result_id": "x", "note": "a\0b"}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5.25", -5.25),
        ("1e3", 1000),
        ("TRUE", True),
        ("stretch", "stretch"),
        ("0,7", "0,7"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1e400", "1e400"),
        ("1e999999999", "1e999999999"),
        ("9" * 40, 1e40),
    ],
)
def test_a_value_is_a_number_where_it_can_be_one(text: str, value: Any) -> None:
    assert item_of({"value": text}, "crm") == {"value": value}
    json.dumps(value, allow_nan=False)


def test_a_long_table_is_read_in_bounded_memory(tmp_path: Path) -> None:
    table = tmp_path / "figures.csv"
    with table.open("w") as out:
        out.write("key_result,value,note,external_id\n")
        out.writelines(f"{UNKNOWN},{n},{'x' * 100},{n}\n" for n in range(20_000))
    tracemalloc.start()
    try:
        count = 0
        for batch in batches(rows(table, "crm", lambda *_: None, lambda _: None)):
            assert len(batch) <= TOGETHER
            count += len(batch)
        assert count == 20_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_long_rows_make_short_batches(tmp_path: Path) -> None:
    table = tmp_path / "figures.csv"
    with table.open("w") as out:
        out.write("key_result,note\n")
        out.writelines(f"{UNKNOWN},{'x' * 100_000}\n" for _ in range(25))
    sizes = [len(one) for one in batches(rows(table, "crm", lambda *_: None, lambda _: None))]
    assert (sum(sizes), max(sizes)) == (25, 9)


# The recipe -------------------------------------------------------------------------------


async def test_the_recipe_of_cron_and_curl_does_what_it_says(
    here: Api, base: str, tmp_path: Path
) -> None:
    (script,) = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", PAGE.read_text(), re.DOTALL)
    (key_result,) = await _key_results(here, 1)
    recipe = tmp_path / "check-in.sh"
    recipe.write_text(script)
    recipe.chmod(recipe.stat().st_mode | stat.S_IXUSR)
    bridge = await here.key_for("check-ins:write")
    settings = {
        "OKR_SERVER": base,
        "OKR_KEY": bridge.key,
        "ORGANIZATION": here.org,
        "KEY_RESULT": key_result,
    }

    def play() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [recipe, "150"],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            timeout=60,
        )

    first = await asyncio.to_thread(play)
    assert first.returncode == 0, first.stderr
    again = await asyncio.to_thread(play)
    assert again.returncode == 0, again.stderr
    assert [one["value"] for one in await _said(here, key_result)] == [150]
    settings["KEY_RESULT"] = UNKNOWN
    assert (await asyncio.to_thread(play)).returncode != 0
