"""The README is true: its tour is run as it is written, its settings are the program's."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from tests.server import environment, serve, stop

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def _documents(text: str) -> list[Any]:
    """The JSON values in a text, one after another."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tour needs curl")
def test_the_tour_leads_where_it_says(folder: Path) -> None:
    steps = re.findall(r"```sh tour\n(.*?)```", README, re.S)
    assert len(steps) == 9
    server, _ = serve(folder, "--demo")
    try:
        walked = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "echo\n".join(steps)],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        assert stop(server, signal.SIGTERM) == 0
    assert walked.returncode == 0, walked.stdout
    advice, because = (
        next(line for line in walked.stdout.splitlines() if text in line)
        for text in ("deliverable", "The score is the progress")
    )
    said = walked.stdout.replace(advice, "").replace(because, "")
    deployment, readiness, check_in, after, before, problem, history, verdict = _documents(
        said.strip()
    )
    assert readiness["overridden"] is not None
    assert deployment["answered"] == 10
    assert (check_in["value"], check_in["progress"]) == (6000, 0.8)
    assert after == 0.8
    assert before != after
    assert (problem["type"], problem["status"]) == ("/problems/wrong-kind", 409)
    assert history["items"][-1]["data"]["terms"]["note"] == "The new lanes are open."
    assert verdict["identical"] is True


def test_every_setting_is_in_the_table() -> None:
    listed = set(re.findall(r"`([A-Z_]+)`", README)) - {"WHERE"}
    known = {
        "DATABASE_URL" if name == "database_url" else f"OKR_{name.upper()}"
        for name in Settings.model_fields
    }
    assert known == listed


def test_every_link_into_the_project_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
