"""The API only grows: nothing that the last release's document promised is broken by today's."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.publish import published
from tests.breaking import RELEASED, breaches

Json = dict[str, Any]


def test_nothing_that_was_released_is_broken() -> None:
    """Before the first release: `python -m tests.breaking --keep`, and a line in the changelog."""
    released, now = json.loads(RELEASED.read_text()), json.loads(published()["openapi.json"])
    assert breaches(released, now) == []


# The checker itself, with forged changes --------------------------------------------------

_TEXT = {"type": "string", "maxLength": 100}
_OLD: Json = {
    "paths": {
        "/goals": {
            "get": {
                "operationId": "list_goals",
                "parameters": [
                    {"in": "query", "name": "status", "schema": {"enum": ["open", "done"]}},
                    {"in": "query", "name": "size", "schema": {"type": "integer", "maximum": 9}},
                ],
                "responses": {
                    "200": {
                        "headers": {"ETag": {"schema": _TEXT}},
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "array",
                                    "items": {"$ref": "#/components/schemas/Goal"},
                                }
                            }
                        },
                    }
                },
            },
            "post": {
                "operationId": "create_goal",
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/NewGoal"}}
                    }
                },
                "responses": {
                    "201": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Goal"}}
                        }
                    }
                },
            },
        }
    },
    "components": {
        "schemas": {
            "NewGoal": {
                "type": "object",
                "properties": {
                    "title": _TEXT,
                    "why": {"anyOf": [_TEXT, {"type": "null"}]},
                    "kind": {"type": "string", "enum": ["company", "team"]},
                    "weight": {"type": "number", "minimum": 0},
                    "measure": {
                        "oneOf": [
                            {"$ref": "#/components/schemas/Metric"},
                            {"$ref": "#/components/schemas/Milestone"},
                        ]
                    },
                },
                "required": ["title"],
                "additionalProperties": False,
            },
            "Goal": {
                "type": "object",
                "properties": {
                    "title": {"type": "string"},
                    "score": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                    "status": {"type": "string", "enum": ["open", "done"]},
                    "children": {"type": "array", "items": {"$ref": "#/components/schemas/Goal"}},
                },
                "required": ["title", "score", "status"],
            },
            "Metric": {
                "type": "object",
                "properties": {"kind": {"const": "metric"}, "target": {"type": "number"}},
                "required": ["kind", "target"],
            },
            "Milestone": {"type": "object", "properties": {"kind": {"const": "milestone"}}},
        }
    },
}


def _listing(document: Json) -> Json:
    operation: Json = document["paths"]["/goals"]["get"]
    return operation


def _creating(document: Json) -> Json:
    operation: Json = document["paths"]["/goals"]["post"]
    return operation


def _sent(document: Json) -> Json:
    schema: Json = document["components"]["schemas"]["NewGoal"]
    return schema


def _shown(document: Json) -> Json:
    schema: Json = document["components"]["schemas"]["Goal"]
    return schema


Change = Callable[[Json], object]

_BREAKING: dict[str, tuple[Change, str]] = {
    "path removed": (lambda d: d["paths"].pop("/goals"), "/goals is gone"),
    "operation removed": (lambda d: d["paths"]["/goals"].pop("post"), "POST /goals is gone"),
    "operation renamed": (
        lambda d: _listing(d).update(operationId="goals"),
        "its operationId was list_goals",
    ),
    "key needed": (lambda d: _listing(d).update(security=[{"Bearer": []}]), "it needs a key now"),
    "parameter removed": (
        lambda d: _listing(d)["parameters"].pop(0),
        "the parameter status is gone",
    ),
    "parameter required": (
        lambda d: _listing(d)["parameters"][0].update(required=True),
        "the parameter status is required now",
    ),
    "new parameter required": (
        lambda d: _listing(d)["parameters"].append(
            {"in": "query", "name": "team", "required": True, "schema": _TEXT}
        ),
        "the parameter team is required now",
    ),
    "parameter's value removed": (
        lambda d: _listing(d)["parameters"][0]["schema"]["enum"].remove("done"),
        "parameter status: it takes fewer values: done",
    ),
    "parameter's bound lowered": (
        lambda d: _listing(d)["parameters"][1]["schema"].update(maximum=5),
        "parameter size: maximum is 5, and was 9",
    ),
    "body required": (
        lambda d: _creating(d)["requestBody"].update(required=True),
        "a body is required now",
    ),
    "body removed": (lambda d: _creating(d).pop("requestBody"), "its body is gone"),
    "sent field removed": (lambda d: _sent(d)["properties"].pop("why"), "body: why is gone"),
    "sent field required": (
        lambda d: _sent(d)["required"].append("kind"),
        "body: kind is required now",
    ),
    "sent null refused": (
        lambda d: _sent(d)["properties"].update(why=_TEXT),
        "body/why: null is no longer taken",
    ),
    "sent value removed": (
        lambda d: _sent(d)["properties"]["kind"]["enum"].remove("team"),
        "body/kind: it takes fewer values: team",
    ),
    "sent text shortened": (
        lambda d: _sent(d)["properties"].update(title={"type": "string", "maxLength": 10}),
        "body/title: maxLength is 10, and was 100",
    ),
    "sent text given a pattern": (
        lambda d: _sent(d)["properties"].update(title={**_TEXT, "pattern": "^[a-z]*$"}),
        "body/title: its pattern is another",
    ),
    "sent type narrowed": (
        lambda d: _sent(d)["properties"]["weight"].update(type="integer"),
        "body/weight: its type is integer, and was number",
    ),
    "sent choice removed": (
        lambda d: _sent(d)["properties"]["measure"]["oneOf"].pop(),
        "body/measure: object is no longer taken",
    ),
    "sent choice demands more": (
        lambda d: d["components"]["schemas"]["Milestone"].update(required=["kind"]),
        "body/measure: kind is required now",
    ),
    "status removed": (
        lambda d: _creating(d).update(responses={"202": {}}),
        "it no longer answers 201",
    ),
    "header removed": (
        lambda d: _listing(d)["responses"]["200"].pop("headers"),
        "the header ETag is gone",
    ),
    "shown field removed": (lambda d: _shown(d)["properties"].pop("score"), "score is gone"),
    "shown field not always there": (
        lambda d: _shown(d)["required"].remove("status"),
        "status is no longer always there",
    ),
    "shown null is new": (
        lambda d: _shown(d)["properties"].update(
            title={"anyOf": [{"type": "string"}, {"type": "null"}]}
        ),
        "title: null is answered now",
    ),
    "shown type widened": (
        lambda d: _shown(d)["properties"].update(title={"type": "integer"}),
        "title: its type is integer, and was string",
    ),
    "shown values listed no longer": (
        lambda d: _shown(d)["properties"]["status"].pop("enum"),
        "status: its values are listed no longer",
    ),
}


@pytest.mark.parametrize("name", sorted(_BREAKING))
def test_a_breaking_change_is_told(name: str) -> None:
    change, told = _BREAKING[name]
    new = copy.deepcopy(_OLD)
    change(new)
    assert any(told in line for line in breaches(_OLD, new)), breaches(_OLD, new)


_GROWING: dict[str, Change] = {
    "nothing": lambda d: None,
    "path": lambda d: d["paths"].update({"/teams": {}}),
    "optional parameter": lambda d: _listing(d)["parameters"].append(
        {"in": "query", "name": "team", "schema": _TEXT}
    ),
    "parameter's value": lambda d: _listing(d)["parameters"][0]["schema"]["enum"].append("lost"),
    "optional sent field": lambda d: _sent(d)["properties"].update(note=_TEXT),
    "sent field no longer required": lambda d: _sent(d)["required"].clear(),
    "sent text lengthened": lambda d: _sent(d)["properties"].update(title={"type": "string"}),
    "sent null": lambda d: _sent(d)["properties"].update(
        kind={"anyOf": [_sent(d)["properties"]["kind"], {"type": "null"}]}
    ),
    "sent choice": lambda d: _sent(d)["properties"]["measure"]["oneOf"].append(
        {"type": "object", "properties": {"kind": {"const": "threshold"}}}
    ),
    "shown field": lambda d: _shown(d)["properties"].update(owner={"type": "string"}),
    "shown value": lambda d: _shown(d)["properties"]["status"]["enum"].append("lost"),
    "shown null no longer": lambda d: _shown(d)["properties"].update(score={"type": "number"}),
    "status": lambda d: _creating(d)["responses"].update({"202": {}}),
}


@pytest.mark.parametrize("name", sorted(_GROWING))
def test_growth_breaks_nothing(name: str) -> None:
    new = copy.deepcopy(_OLD)
    _GROWING[name](new)
    assert breaches(_OLD, new) == []
