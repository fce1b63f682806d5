"""The TypeScript client: made from the document (tests/days has a frontend use it)."""

from __future__ import annotations

import pytest

from tests.clients.node import FOLDER, install, needs_node, run

pytestmark = needs_node


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    install()


def test_the_types_are_what_the_document_makes() -> None:
    run("npm", "run", "--silent", "drift")


def test_the_lock_file_names_no_registry() -> None:
    lock = (FOLDER / "package-lock.json").read_text()
    assert '"integrity": "sha512-' in lock
    assert '"resolved"' not in lock
