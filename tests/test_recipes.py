"""The recipes in docs/recipes do what they say: each is run as it is written."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.api.programme import UNKNOWN, Api, Json
from tests.conftest import Database
from tests.server import environment, serving

RECIPES = Path(__file__).resolve().parents[1] / "docs" / "recipes"
WORKFLOW = (RECIPES / "github-actions.yml").read_text()
PROMETHEUS = RECIPES / "prometheus-to-kpi.sh"

pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("jq") is None,
    reason="the recipes take curl and jq",
)


@pytest.fixture(scope="module")
def base(database: Database) -> Iterator[str]:
    with serving(database.url) as base:
        yield base


def _run(command: list[str | Path], folder: Path, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


def test_every_recipe_is_linked_from_the_page_and_tried_here() -> None:
    page = (RECIPES.parent / "integrations.md").read_text()
    linked = set(re.findall(r"\(recipes/([\w.-]+)\)", page))
    assert linked == {file.name for file in RECIPES.iterdir()}
    assert linked == {"github-actions.yml", "prometheus-to-kpi.sh"}


# GitHub Actions ---------------------------------------------------------------------------


def _step(name: str) -> str:
    """What a step of the workflow runs."""
    (step,) = re.findall(rf"- name: {name}\n(.*?)(?=\n      - |\Z)", WORKFLOW, re.DOTALL)
    _, _, script = step.partition("        run: ")
    return textwrap.dedent(script.removeprefix("|\n"))


async def test_a_pipeline_checks_in_once_however_often_it_is_run_again(
    api: Api, base: str, tmp_path: Path
) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    key = (await api.key_for("check-ins:write", key_results=[key_result["id"]])).key
    # As the runner does: a shell that stops at what fails, and the variables that the page names.
    shell: list[str | Path] = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
    variables = {
        "OKR_SERVER": base,
        "OKR_KEY": key,
        "ORGANIZATION": api.org,
        "KEY_RESULT": key_result["id"],
        "GITHUB_REPOSITORY": "harbour/orders",
        "GITHUB_RUN_ID": "7",
        "GITHUB_SHA": "0123abcd",
    }
    _run(["git", "init", "--quiet"], tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).touch()
    _run(["git", "add", "one", "two"], tmp_path)
    output = tmp_path / "output"
    status, said = _run([*shell, _step("Measure")], tmp_path, GITHUB_OUTPUT=str(output))
    assert status == 0, said
    variables["VALUE"] = output.read_text().strip().removeprefix("value=")
    assert variables["VALUE"] == "2"

    for _ in range(2):
        check_in = [*shell, _step("Check in")]
        status, said = await asyncio.to_thread(_run, check_in, tmp_path, **variables)
        assert status == 0, said
    (made,) = (await api.get(f"/key-results/{key_result['id']}/check-ins"))["items"]
    assert (made["value"], made["note"]) == (2, "0123abcd")
    (event,) = (await api.get("/events", type="check_in.recorded"))["items"]
    external = {"source": "github", "external_id": "harbour/orders 7"}
    assert event["data"]["external"] == external

    variables["KEY_RESULT"] = UNKNOWN
    status, said = await asyncio.to_thread(_run, check_in, tmp_path, **variables)
    assert status != 0
    assert "/problems/" in said


# Prometheus -------------------------------------------------------------------------------

_SERVER = """
import http.server, sys

class Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, flush=True)
        answer = sys.argv[1].encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Answering)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def _prometheus(
    *results: Json, kind: str = "vector"
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that answers as Prometheus does, on loopback; it says what it is asked."""
    result = results[0]["value"] if kind == "scalar" else list(results)
    answer = {"status": "success", "data": {"resultType": kind, "result": result}}
    command = [sys.executable, "-c", _SERVER, json.dumps(answer)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}", process
    finally:
        process.kill()
        process.communicate(timeout=30)


def _series(value: str) -> Json:
    return {"metric": {"job": "orders"}, "value": [round(time.time() - 60, 3), value]}


async def _kpi(api: Api) -> tuple[Json, dict[str, str]]:
    kpi = await api.kpi(await api.team())
    key = (await api.key_for("check-ins:write")).key
    return kpi, {"OKR_KEY": key, "ORGANIZATION": api.org, "KPI": kpi["id"]}


@pytest.mark.parametrize("kind", ["vector", "scalar"])
async def test_what_prometheus_says_is_a_reading_once_a_day(
    api: Api, base: str, tmp_path: Path, kind: str
) -> None:
    kpi, variables = await _kpi(api)
    query = 'sum(increase(orders_total{shop="Über"}[1d]))'
    with _prometheus(_series("512.5"), kind=kind) as (prometheus, process):
        variables |= {"PROMETHEUS": prometheus, "OKR_SERVER": base}
        for _ in range(2):
            done = await asyncio.to_thread(_run, [PROMETHEUS, query], tmp_path, **variables)
            assert done[0] == 0, done[1]
        assert process.stdout is not None
        asked = httpx.URL(process.stdout.readline().strip())
    assert (asked.path, asked.params["query"]) == ("/api/v1/query", query)
    (reading,) = (await api.get(f"/kpis/{kpi['id']}/readings"))["items"]
    assert reading["value"] == 512.5
    (event,) = (await api.get("/events", type="kpi.reading_recorded"))["items"]
    assert event["data"]["external"]["source"] == "prometheus"
    assert event["data"]["external"]["external_id"].startswith(f"{kpi['id']} 20")


@pytest.mark.parametrize(
    "results", [(), (_series("1"), _series("2")), (_series("NaN"),), (_series("+Inf"),)]
)
async def test_what_is_no_single_number_is_no_reading(
    api: Api, base: str, tmp_path: Path, results: tuple[Json, ...]
) -> None:
    kpi, variables = await _kpi(api)
    with _prometheus(*results) as (prometheus, _):
        variables |= {"PROMETHEUS": prometheus, "OKR_SERVER": base}
        done = await asyncio.to_thread(_run, [PROMETHEUS, "up"], tmp_path, **variables)
    assert done[0] != 0, done[1]
    assert (await api.get(f"/kpis/{kpi['id']}/readings"))["items"] == []


async def test_a_reading_that_is_refused_fails_and_says_why(
    api: Api, base: str, tmp_path: Path
) -> None:
    _, variables = await _kpi(api)
    with _prometheus(_series("1")) as (prometheus, _):
        variables |= {"PROMETHEUS": prometheus, "OKR_SERVER": base, "KPI": UNKNOWN}
        done = await asyncio.to_thread(_run, [PROMETHEUS, "up"], tmp_path, **variables)
    assert done[0] != 0
    assert "/problems/not-found" in done[1]
