"""The OpenAPI document: committed, complete, and true of what the other tests see."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api.openapi import EXAMPLES
from app.api.problems import KINDS
from app.publish import FOLDER, published
from tests.answers import schemas
from tests.api.programme import ROUTES, UNKNOWN, Api, Json, Stage, each_of, method_of

_PUBLISHED = published()
_DOCUMENT: Json = json.loads(_PUBLISHED["openapi.json"])
_SCHEMAS: Json = _DOCUMENT["components"]["schemas"]


def _operations() -> Iterator[tuple[str, str, Json]]:
    for path, methods in _DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


_OPERATIONS: dict[str, Json] = {op["operationId"]: op for _, _, op in _operations()}
_each = pytest.mark.parametrize("name", sorted(_OPERATIONS))


def _validator(schema: Json) -> Draft202012Validator:
    """Of a schema of the document, which may refer to its components."""
    inside = {**schema, "components": _DOCUMENT["components"]}
    return Draft202012Validator(inside, format_checker=FormatChecker())


def _content(part: Json) -> Json:
    """The schema of a body or response in JSON, or of one line of it."""
    content = part["content"]
    schema: Json = (content.get("application/json") or content["application/x-ndjson"])["schema"]
    return schema


# The document -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(_PUBLISHED))
def test_a_committed_document_is_what_the_app_serves(name: str) -> None:
    assert (FOLDER / name).read_text() == _PUBLISHED[name], "run `make openapi`"


def test_the_document_is_valid() -> None:
    assert _DOCUMENT["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(_DOCUMENT).validate()


def test_every_route_is_in_the_document_and_nothing_else_is() -> None:
    served = {(method_of(route), route.path_format) for route in ROUTES}
    assert {(method, path) for method, path, _ in _operations()} == served


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        yield from part.get("discriminator", {}).get("mapping", {}).values()
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def test_every_reference_resolves_and_every_schema_is_referred_to() -> None:
    found = Counter(_references(_DOCUMENT))
    assert found
    parts = _DOCUMENT["components"]
    assert set(found) == {
        f"#/components/{kind}/{name}" for kind in ("schemas", "headers") for name in parts[kind]
    }


@pytest.mark.parametrize("name", sorted(_SCHEMAS))
def test_every_schema_is_a_json_schema(name: str) -> None:
    Draft202012Validator.check_schema(_SCHEMAS[name])


# Each operation ---------------------------------------------------------------------------


def test_operation_ids_are_unique() -> None:
    assert len(_OPERATIONS) == len(list(_operations()))
    assert all(name.isidentifier() and name.islower() for name in _OPERATIONS)


@_each
def test_every_operation_says_what_it_is(name: str) -> None:
    operation = _OPERATIONS[name]
    assert set(operation["tags"]) <= {tag["name"] for tag in _DOCUMENT["tags"]}
    assert operation["tags"]
    assert operation["summary"]
    assert operation["description"]


@_each
def test_every_parameter_has_a_schema(name: str) -> None:
    for parameter in _OPERATIONS[name].get("parameters", ()):
        assert parameter["schema"].keys() & {"type", "anyOf", "$ref", "enum"}, parameter
        Draft202012Validator.check_schema(parameter["schema"])
        for example in parameter.get("examples", parameter["schema"].get("examples", ())):
            assert _validator(parameter["schema"]).is_valid(example) or example.isdigit()


_BODIES = sorted(name for name, operation in _OPERATIONS.items() if "requestBody" in operation)


@pytest.mark.parametrize("name", _BODIES)
def test_every_body_has_an_example_that_fits_its_schema(name: str) -> None:
    schema = _content(_OPERATIONS[name]["requestBody"])
    (kind, *_) = (reference.rpartition("/")[2] for reference in _references(schema))
    examples = _SCHEMAS[kind]["examples"]
    assert examples
    for example in examples:
        _validator(schema).validate(example)
        assert not _validator(schema).is_valid({**example, "no such member": 1})


_ANSWERS = schemas(_DOCUMENT)


def test_every_operation_that_answers_json_shows_a_real_answer() -> None:
    kept = json.loads(EXAMPLES.read_text())
    assert kept.keys() == _ANSWERS.keys(), "see tests/answers.py"
    for name in kept:
        responses = _OPERATIONS[name]["responses"]
        (shown,) = (responses[status] for status in ("200", "201") if status in responses)
        assert shown["content"]["application/json"]["example"] == kept[name]


@pytest.mark.parametrize("name", sorted(_ANSWERS))
def test_an_answer_that_is_shown_fits_its_schema(name: str) -> None:
    _validator(_ANSWERS[name]).validate(json.loads(EXAMPLES.read_text())[name])


def test_every_write_but_a_command_without_terms_has_a_body() -> None:
    writes = {str(route.operation_id) for route in ROUTES if route.dependant.body_params} | {
        "import_document",
        "stream_check_ins",
    }
    assert set(_BODIES) == writes


@_each
def test_every_problem_that_an_operation_declares_is_one(name: str) -> None:
    responses = _OPERATIONS[name]["responses"]
    for status, response in responses.items():
        if int(status) < 400:
            continue
        assert response["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
        told = [part.partition("`")[0] for part in response["description"].split("`/problems/")[1:]]
        assert told
        assert {KINDS[problem].status for problem in told} == {int(status)}


@_each
def test_every_operation_declares_what_can_go_wrong_anywhere(name: str) -> None:
    operation = _OPERATIONS[name]
    assert len({"200", "201"} & operation["responses"].keys()) == 1
    if "security" in operation:
        assert {"401", "422", "500", "503"} <= operation["responses"].keys()
    if "requestBody" in operation:
        assert {"400", "413"} <= operation["responses"].keys()


def test_only_operations_without_security_need_no_key() -> None:
    assert {name for name, operation in _OPERATIONS.items() if "security" not in operation} == {
        "health_live",
        "health_ready",
        "explain_problem",
        "get_import_schema",
    }


# What is seen -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


def _assert_declared(route: APIRoute, answer: httpx.Response) -> None:
    """The status is declared, with the type of its body, which fits the schema."""
    responses = _OPERATIONS[str(route.operation_id)]["responses"]
    status = str(answer.status_code)
    assert status in responses, f"{route.operation_id} answers {status}: {answer.text}"
    for header in _DOCUMENT["components"]["headers"]:
        if header in answer.headers and "security" in _OPERATIONS[str(route.operation_id)]:
            assert header in responses[status]["headers"], f"{route.operation_id}: {header}"
    content = responses[status].get("content")
    if content is None:
        assert answer.content == b""
        return
    sent_as = answer.headers["Content-Type"]
    media_type = sent_as if sent_as in content else sent_as.partition(";")[0]
    assert media_type in content, f"{route.operation_id} answers {media_type}"
    described = content[media_type]
    is_text = not media_type.partition(";")[0].endswith("json") or "ndjson" in media_type
    _validator(described["schema"]).validate(answer.text if is_text else answer.json())


_ASKED: list[Json] = [
    {},
    {"headers": {"Authorization": "Bearer nonsense"}},
    {"headers": {"If-None-Match": "*"}},
    {"headers": {"If-None-Match": "x" * 1_001}},
    {"params": {"as_of": "0"}},
    {"params": {"as_of": "x"}},
    {"params": {"page_token": "x"}},
    {"params": {"page_size": "0"}},
]
_SENT: list[Json] = [
    {},
    {"headers": {"Authorization": "Bearer nonsense"}},
    {"headers": {"If-Match": "*"}},
    {"headers": {"If-Match": '"99"'}},
    {"headers": {"If-Match": "x"}},
    {"headers": {"Idempotency-Key": ""}},
    {"content": b"{", "headers": {"Content-Type": "application/json"}},
    {"content": b'"\xff"', "headers": {"Content-Type": "application/json"}},
    {"content": b"x", "headers": {"Content-Type": "text/plain"}},
    {"content": b" " * 20_000_001, "headers": {"Content-Type": "application/json"}},
    {"json": {"no such member": 1}},
]


@each_of(ROUTES)
async def test_every_status_that_is_seen_is_declared(route: APIRoute, stage: Stage) -> None:
    asks = method_of(route) == "GET"
    ids = [name for name in stage.ids if name not in ("organization_id", "question")]
    # Changes are tried on what is not there, so that the stage stays as it is.
    nothing = stage.at(**dict.fromkeys(ids, UNKNOWN))
    for options in _ASKED if asks else _SENT:
        for place in (stage, nothing) if asks else (nothing,):
            _assert_declared(route, await place.call(route, **options))
    weak = await stage.api.key_for("check-ins:write")
    for place in (
        nothing.with_key(weak.key),
        stage.at(organization_id=UNKNOWN),
        stage.at(organization_id="x"),
        stage.at(**dict.fromkeys(ids, "x")),
    ):
        _assert_declared(route, await place.call(route))
