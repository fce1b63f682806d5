"""The OpenAPI document: FastAPI's own, mended where it tells less than the truth."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

from app.api.bodies.check_ins import StreamedCheckIn
from app.api.problems import Problem
from app.api.routes.batches import LineResultView
from app.application.import_document import schema as import_schema

_LINES: tuple[tuple[type[BaseModel], JsonSchemaMode], ...] = (
    (StreamedCheckIn, "validation"),
    (LineResultView, "serialization"),
)
"""What stands on the lines of streams: no route has it as a whole body."""

EXAMPLES = Path(__file__).with_name("examples.json")
"""An answer of each operation, as it was given in a test: tests/answers.py keeps them."""

_TAGS = {
    "organizations": "Organisations, each with a ledger of its own.",
    "deployment": "The decisions that shape a programme, and what they lead to.",
    "people": "People: who they are, and what is forgotten of them.",
    "teams": "Teams, their tree and their members.",
    "roles": "Who may do what, and how far.",
    "training": "Workshops, coaches, and whether the first cycle may begin.",
    "cycles": "Cycles from planning to reflection, their trees and their health.",
    "objectives": "Objectives from draft to outcome.",
    "key results": "Key results and their measures.",
    "check-ins": "What key results stand at, as it was said, corrected and retracted.",
    "scores": "Scores, and how they came about.",
    "reviews": "How a programme and its people did.",
    "mine": "What concerns whoever asks, and a team: their goals, and what is due.",
    "quality": "What the rules say of drafts and of goals.",
    "KPIs": "Key performance indicators, their readings, and the way into focus and back.",
    "alignments": "Which goal contributes to which.",
    "dependencies": "What teams need of each other.",
    "blockers": "What stands in the way of a key result.",
    "lineage": "Where a goal came from, and what became of it.",
    "history": "The ledger: its events, checkpoints and proofs.",
    "imports": "A programme from elsewhere, in one document.",
    "api keys": "Keys for people and integrations.",
    "webhooks": "Events, sent to whoever asks for them, and what came of it.",
    "operations": "What whoever runs the server looks at.",
}
"""Every tag that an operation bears, in the order of a programme."""

_HEADERS: dict[str, Any] = {
    "RateLimit": {
        "description": "What is left to this key, `r`, until when in seconds, `t`; where requests "
        "are limited.",
        "schema": {"type": "string", "examples": ['"default";r=599;t=1']},
    },
    "RateLimit-Policy": {
        "description": "The quota `q` in `w` seconds.",
        "schema": {"type": "string", "examples": ['"default";q=600;w=60']},
    },
    "Retry-After": {
        "description": "In how many seconds to try again.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "ETag": {
        "description": "For If-None-Match, and for If-Match, which heeds the version that it may "
        "begin with.",
        "schema": {"type": "string", "examples": ['"3.0123456789abcdef"']},
    },
    "Ledger-Position": {
        "description": "The position of the organisation's ledger that the answer shows.",
        "schema": {"type": "integer", "minimum": 0},
    },
}


def document(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with problem documents in place of its own validation errors."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        license_info=app.license_info,
        servers=[{"url": "/", "description": "Whichever server gave you this document."}],
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
    for model, mode in _LINES:
        shown = model.model_json_schema(ref_template="#/components/schemas/{model}", mode=mode)
        schemas |= {
            name: one for name, one in shown.pop("$defs", {}).items() if name not in schemas
        }
        schemas[model.__name__] = shown
    schemas["ImportDocument"] = _relocated(imported)
    for operations in made["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                _not_null(parameter["schema"])
    _link(made["paths"])
    _tell_headers(made["paths"])
    _show(made["paths"])
    made["components"]["headers"] = _HEADERS
    used = {tag for path in made["paths"].values() for one in path.values() for tag in one["tags"]}
    made["tags"] = [
        {"name": name, "description": told} for name, told in _TAGS.items() if name in used
    ]
    app.openapi_schema = made
    return made


def _tell_headers(paths: dict[str, Any]) -> None:
    """Declare the headers that answers carry where a key is needed."""
    for operations in paths.values():
        for operation in operations.values():
            if "security" not in operation:
                continue
            for status, response in operation["responses"].items():
                names = ["RateLimit", "RateLimit-Policy"]
                if int(status) < 400:
                    names += ["ETag", "Ledger-Position"]
                if status in ("429", "503"):
                    names.append("Retry-After")
                told = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
                response["headers"] = {**told, **response.get("headers", {})}


def _show(paths: dict[str, Any]) -> None:
    """Give each operation the answer that is kept of it."""
    examples = json.loads(EXAMPLES.read_text())
    for operations in paths.values():
        for operation in operations.values():
            for status in ("200", "201"):
                content = operation["responses"].get(status, {}).get("content", {})
                if "application/json" in content and operation["operationId"] in examples:
                    content["application/json"]["example"] = examples[operation["operationId"]]


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
    """References of a JSON Schema of its own, pointed at the document's components.

    They are found under `$ref`, and in the mapping of a discriminator.
    """
    if isinstance(schema, dict):
        return {key: _relocated(value) for key, value in schema.items()}
    if isinstance(schema, str) and schema.startswith("#/$defs/"):
        return schema.replace("#/$defs/", "#/components/schemas/")
    return [_relocated(part) for part in schema] if isinstance(schema, list) else schema
