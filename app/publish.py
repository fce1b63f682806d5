"""The published documents: written to `openapi/`, and held against the app.

`python -m app.publish` writes them; with `--check` it says which differs, and exits with 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from app.api import asyncapi, openapi
from app.application import import_document
from app.main import create_app

FOLDER = Path(__file__).resolve().parent.parent / "openapi"


def published() -> dict[str, str]:
    """The text of each file in `openapi/`, by its name."""
    documents = {
        "openapi.json": openapi.document(create_app()),
        "asyncapi.json": asyncapi.document(),
        "import.schema.json": import_document.schema(),
    }
    return {
        name: json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        for name, content in documents.items()
    }


def stale() -> list[str]:
    """The files that are not what the app serves."""
    return [
        name
        for name, text in published().items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text() != text
    ]


def main() -> int:
    if "--check" not in sys.argv[1:]:
        FOLDER.mkdir(exist_ok=True)
        for name, text in published().items():
            (FOLDER / name).write_text(text)
        return 0
    found = stale()
    for name in found:
        sys.stderr.write(f"openapi/{name} is not what the app serves: run `make openapi`.\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
