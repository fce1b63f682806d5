"""The published documents: written to `openapi/`, and held against the app.

`python -m app.api.openapi` writes them; with `--check` it says which differs and exits with 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import Problem
from app.application.import_document import schema as import_schema

FOLDER = Path(__file__).resolve().parents[2] / "openapi"


def document(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with problem documents in place of its own validation errors."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        license_info=app.license_info,
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for framework in ("HTTPValidationError", "ValidationError"):
        schemas.pop(framework, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["Problem"] = problem
    imported = import_schema()
    schemas |= {
        name: _relocated(schema)
        for name, schema in imported.pop("$defs", {}).items()
        if name not in schemas
    }
    imported.pop("$schema", None)
    imported.pop("$id", None)
    schemas["ImportDocument"] = _relocated(imported)
    for operations in made["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                _not_null(parameter["schema"])
    app.openapi_schema = made
    return made


def _not_null(schema: dict[str, Any]) -> None:
    """An optional parameter is left out; it cannot be null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del schema["anyOf"]
        schema |= choices[0]
    elif choices:
        schema["anyOf"] = choices


def _relocated(schema: Any) -> Any:
    """References of a JSON Schema of its own, pointed at the document's components."""
    if isinstance(schema, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/")
            if key == "$ref" and isinstance(value, str)
            else _relocated(value)
            for key, value in schema.items()
        }
    return [_relocated(part) for part in schema] if isinstance(schema, list) else schema


def published() -> dict[str, str]:
    """The text of each file in `openapi/`, by its name."""
    from app.main import create_app

    documents = {"openapi.json": document(create_app()), "import.schema.json": import_schema()}
    return {
        name: json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        for name, content in documents.items()
    }


def main() -> int:
    if "--check" in sys.argv[1:]:
        stale = [name for name, text in published().items() if _written(name) != text]
        for name in stale:
            sys.stderr.write(f"openapi/{name} is not what the app serves: run `make openapi`.\n")
        return len(stale) and 1
    FOLDER.mkdir(exist_ok=True)
    for name, text in published().items():
        (FOLDER / name).write_text(text)
    return 0


def _written(name: str) -> str | None:
    path = FOLDER / name
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    raise SystemExit(main())
