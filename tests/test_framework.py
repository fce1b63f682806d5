"""The page on the framework names what is there: operations, events and tests."""

from __future__ import annotations

import re
from pathlib import Path

from app.domain.catalog import EVENTS
from app.publish import FOLDER

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "framework.md").read_text()
OPENAPI = (FOLDER / "openapi.json").read_text()


def test_every_operation_on_the_page_is_served() -> None:
    named = re.findall(r"`(GET|POST|PUT) (/[^`]*)`", PAGE)
    assert len(named) > 25
    for method, path in named:
        assert f'"/v1/organizations/{{organization_id}}{path}": {{' in OPENAPI, path
        at = OPENAPI.index(f'"/v1/organizations/{{organization_id}}{path}": {{')
        following = OPENAPI.find('\n    "/', at + 1)
        assert f'"{method.lower()}": {{' in OPENAPI[at:following], f"{method} {path}"


def test_every_event_on_the_page_is_recorded() -> None:
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", PAGE))
    assert len(named) > 15
    assert named <= set(EVENTS)


def test_every_test_on_the_page_exists() -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE):
        text = (ROOT / path).read_text()
        assert f"def {name}(" in text if name else "def test_" in text, (path, name)
