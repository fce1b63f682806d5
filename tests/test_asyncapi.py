"""The AsyncAPI document: every event is in it, and what was ever written fits what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, FormatChecker

from app.api.asyncapi import CHANGE, document
from app.application.webhooks.outbox import TEST
from app.domain.catalog import EVENTS
from app.domain.messages import Stream
from app.events.envelope import Meta, Recorded
from app.events.texts import Texts
from app.queries.history import change_view, event_view
from app.queries.webhooks import event_message, sample_message
from tests.api.programme import Api, Json
from tests.clients.node import install, needs_node, run
from tests.domain.builders import NOW, uid

_DOCUMENT = document()
_CHANNELS: Json = _DOCUMENT["channels"]
_ORG = uid(1)
GOLDEN = sorted((Path(__file__).parent / "events" / "golden").glob("*.json"))


def _found(reference: Json) -> Any:
    """What a reference leads to."""
    part: Any = _DOCUMENT
    for step in reference["$ref"].removeprefix("#/").split("/"):
        part = part[step]
    return part


def _validator(channel: str, name: str, part: str = "payload") -> Draft7Validator:
    """Of what a message has, as whoever reads only the document comes to it."""
    schema = _found(_found(_CHANNELS[channel]["messages"][name])[part])
    inside = {**schema, "components": _DOCUMENT["components"]}
    return Draft7Validator(inside, format_checker=FormatChecker())


def _recorded(name: str, version: int, data: str) -> Recorded:
    """An event with this content."""
    return Recorded(
        org_id=_ORG,
        position=7,
        stream=Stream(EVENTS[name].category, uid(2)),
        version=1,
        event_id=uid(3),
        type=name,
        schema_version=version,
        cycle_id=None,
        data=data,
        meta=Meta("operator/test", "test", uid(4)),
        occurred_at=NOW,
        recorded_at=NOW,
        texts=Texts(_ORG, {}),
    )


def _shown(recorded: Recorded) -> Json:
    """As the feed tells it."""
    found: Json = json.loads(event_view(recorded).model_dump_json())
    return found


def _delivered(recorded: Recorded) -> Json:
    """As a webhook has it."""
    found: Json = json.loads(event_message(recorded))
    return found


def test_every_event_is_in_the_feed_and_is_delivered() -> None:
    wanted = {"feed": {*EVENTS}, "changes": {CHANGE}, "webhook": {*EVENTS, TEST}}
    for channel, names in wanted.items():
        assert set(_CHANNELS[channel]["messages"]) == names
    for operation in _DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"].rpartition("/")[2]
        sent = [reference["$ref"].rpartition("/")[2] for reference in operation["messages"]]
        assert sorted(sent) == sorted(wanted.pop(channel))
    assert not wanted


def _references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [reference for one in part for reference in _references(one)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
    return own + [reference for one in part.values() for reference in _references(one)]


def test_every_reference_leads_somewhere_and_every_schema_is_referred_to() -> None:
    references = set(_references(_DOCUMENT))
    for reference in references:
        _found({"$ref": reference})
    components = _DOCUMENT["components"]
    for kind in ("messages", "schemas"):
        for name in components[kind]:
            assert f"#/components/{kind}/{name}" in references, name
    for name, schema in components["schemas"].items():
        Draft7Validator.check_schema(schema)
        assert name.isidentifier()


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_what_was_ever_written_fits_its_message(path: Path) -> None:
    name, version = path.stem.rsplit(".", 1)
    for line in path.read_text().splitlines():
        recorded = _recorded(name, int(version), line)
        _validator("feed", name).validate(_shown(recorded))
        _validator("webhook", name).validate(_delivered(recorded))
        changed = json.loads(change_view(recorded).model_dump_json())
        _validator("changes", CHANGE).validate(changed)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_what_is_no_such_event_does_not_fit(name: str) -> None:
    version = EVENTS[name].schema_version
    feed, webhook = _validator("feed", name), _validator("webhook", name)
    nothing = _recorded(name, version, "{}")
    assert not feed.is_valid(_shown(nothing)), "an event without anything in it"
    assert not feed.is_valid({**_shown(nothing), "type": "goal.dreamt"})
    assert not feed.is_valid(_shown(_recorded(name, version + 1, "{}")))
    assert not webhook.is_valid(_delivered(nothing))


async def test_what_is_told_fits_its_message(api: Api) -> None:
    await api.one_of_each()
    events = (await api.get("/events", page_size=500))["items"]
    assert len({event["type"] for event in events}) > 20
    for event in events:
        _validator("feed", event["type"]).validate(event)


def test_what_a_message_lacks_is_told() -> None:
    path = next(one for one in GOLDEN if one.stem == "team.formed.1")
    told = _delivered(_recorded("team.formed", 1, path.read_text().splitlines()[0]))
    test = json.loads(sample_message(_ORG, uid(5), NOW))
    for message in (told, test):
        validator = _validator("webhook", message["type"])
        validator.validate(message)
        for member in message:
            assert not validator.is_valid({k: v for k, v in message.items() if k != member})
        for member in ("organization_id", "type" if message is told else "webhook_id"):
            data = {k: v for k, v in message["data"].items() if k != member}
            assert not validator.is_valid({**message, "data": data})


def test_a_webhook_says_which_headers_it_has() -> None:
    validator = _validator("webhook", "check_in.recorded", "headers")
    sent = {"webhook-id": "msg_1", "webhook-timestamp": "1767225600", "webhook-signature": "v1,x"}
    validator.validate(sent)
    for name in sent:
        assert not validator.is_valid({k: v for k, v in sent.items() if k != name})


@needs_node
def test_it_is_linted_without_a_warning() -> None:
    install()
    run("npm", "run", "--silent", "lint:asyncapi")
