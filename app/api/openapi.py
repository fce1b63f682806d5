"""The OpenAPI document: FastAPI's own, mended where it tells less than the truth."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import Problem
from app.application.import_document import schema as import_schema


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
    _link(made["paths"])
    app.openapi_schema = made
    return made


def _link(paths: dict[str, Any]) -> None:
    """Tell where what was made can be used next: its id, in the paths of other operations."""
    shown: dict[str, str] = {}
    taking: dict[str, list[str]] = defaultdict(list)
    for path, operations in paths.items():
        names = [name for name in re.findall(r"{(\w+)}", path) if name != "organization_id"]
        for method, operation in operations.items():
            if len(names) == 1:
                taking[names[0]].append(operation["operationId"])
                if method == "get" and path.endswith("}"):
                    shown[_answer(operation, "200")] = names[0]
    for operations in paths.values():
        for operation in operations.values():
            view = _answer(operation, "201")
            found = {shown[view]: "/id"} if view in shown else {}
            if view == "ObjectiveView":
                found |= {"key_result_id": "/key_results/0/id", "cycle_id": "/cycle_id"}
            links = {
                following: {
                    "operationId": following,
                    "parameters": {
                        "organization_id": "$request.path.organization_id",
                        name: f"$response.body#{pointer}",
                    },
                }
                for name, pointer in found.items()
                for following in taking[name]
            }
            if links:
                operation["responses"]["201"]["links"] = links


def _answer(operation: dict[str, Any], status: str) -> str:
    """The name of what an operation answers with as JSON; empty where it has none."""
    content = operation["responses"].get(status, {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2]


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
