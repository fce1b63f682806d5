"""The AsyncAPI document: what this server tells by itself, as a feed and by webhooks.

One message for each type of event, from the catalogue of events and the view that `GET .../events`
shows, so that it cannot say anything else than the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from app import __version__
from app.application.bundle import event_schema
from app.application.webhooks.outbox import TEST
from app.domain.catalog import EVENTS
from app.queries.history import ChangeView, EventView

Json = dict[str, Any]

CHANGE = "change"
_DESCRIPTION = """\
What an OKR Ledger tells by itself: each event of an organisation's ledger, once it is recorded.

A client follows the feed (Server-Sent Events), or has webhooks delivered (Standard Webhooks). Both
tell the same events, in which free text can be read. A page that is to stay true follows the
changes, which say that something happened, and nothing of what was said. New types of events, and
new members in them, may come at any time; `schema_version` says by which form `data` was recorded.
"""
_FEED = """\
Server-Sent Events: `id` is the event's position, `event` its type, and `data` the message on one
line. Lines that begin with a colon say that the stream is there. Connect again with the last `id`
as `Last-Event-ID`: every event comes once, and in the order of the ledger.
"""
_CHANGES = """\
As the feed, for whoever may read goals. What becomes of keys, webhooks and answers to surveys is
not told.
"""
_WEBHOOK = """\
A POST to an address of yours, as [Standard Webhooks](https://www.standardwebhooks.com) has it. Any
answer of 2xx takes it; else it comes again, with the same `webhook-id`. It may come twice.
"""
_DELIVERING = "Deliver each event to those who want it, and a test when somebody asks for one."


def document() -> Json:
    """AsyncAPI 3.0, in JSON."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "OKR Ledger: events",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [
                {"name": "feed", "description": "What a client asks for, and follows."},
                {"name": "webhooks", "description": "What is delivered."},
            ],
        },
        "defaultContentType": "application/json",
        "servers": {
            "ledger": {
                "host": "{host}",
                "protocol": "https",
                "description": "The server that your key is for.",
                "variables": {"host": _variable("The server's host and port.", "okr.example.org")},
            },
            "receiver": {
                "host": "{host}",
                "protocol": "https",
                "description": "A server of yours.",
                "variables": {"host": _variable("Its host.", "hooks.example.org")},
            },
        },
        "channels": {
            "feed": _stream("events", _FEED, EVENTS),
            "changes": _stream("changes", _CHANGES, [CHANGE]),
            "webhook": _webhook(),
        },
        "operations": {
            "tell_events": _operation(
                "feed", "Tell the ledger after a position, and go on.", EVENTS
            ),
            "tell_changes": _operation(
                "changes", "Tell what changed after a position, and go on.", [CHANGE]
            ),
            "deliver_webhook": _operation("webhook", _DELIVERING, [*EVENTS, TEST]),
        },
        "components": {
            "messages": _messages(),
            "schemas": _schemas(),
            "securitySchemes": {
                "Bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key with the scope `history:read` (for changes: "
                    "`read`), or a token of the OpenID Connect provider.",
                }
            },
        },
    }


def _variable(told: str, example: str) -> Json:
    return {"description": told, "default": example, "examples": [example]}


def _stream(of: str, told: str, names: Iterable[str]) -> Json:
    return {
        "address": f"/v1/organizations/{{organization_id}}/{of}/stream",
        "description": told,
        "servers": [_ref("servers", "ledger")],
        "parameters": {"organization_id": {"description": "Whose ledger: a UUID."}},
        "messages": {name: _component("messages", name) for name in sorted(names)},
    }


def _webhook() -> Json:
    return {
        "address": "/{path}",
        "description": _WEBHOOK,
        "servers": [_ref("servers", "receiver")],
        "parameters": {"path": {"description": "Of the address that the webhook was given."}},
        "messages": {
            name: _component("messages", f"delivered.{name}") for name in (*sorted(EVENTS), TEST)
        },
    }


def _operation(channel: str, told: str, names: Iterable[str]) -> Json:
    is_delivered = channel == "webhook"
    made: Json = {
        "action": "send",
        "channel": _ref("channels", channel),
        "summary": told,
        "description": told,
        "tags": [{"name": "webhooks" if is_delivered else "feed"}],
        "messages": [_ref("channels", channel, "messages", name) for name in sorted(names)],
    }
    if not is_delivered:
        made["security"] = [_component("securitySchemes", "Bearer")]
    return made


def _messages() -> Json:
    made: Json = {
        CHANGE: _message(CHANGE, "ChangeView"),
        f"delivered.{TEST}": _message(TEST, "WebhookTest", headers="WebhookHeaders"),
    }
    for name, event in sorted(EVENTS.items()):
        made[name] = _message(name, f"{event.__name__}Event")
        made[f"delivered.{name}"] = _message(
            name, f"{event.__name__}Message", headers="WebhookHeaders"
        )
    return made


def _message(name: str, payload: str, **more: str) -> Json:
    return {
        "name": name,
        "title": name,
        "contentType": "application/json",
        **{part: _component("schemas", schema) for part, schema in more.items()},
        "payload": _component("schemas", payload),
    }


# Schemas ----------------------------------------------------------------------------------


def _schemas() -> Json:
    """Those of events and of all that is in them, by the names of their classes."""
    schemas: Json = {"WebhookHeaders": _WEBHOOK_HEADERS, "WebhookTest": _envelope(TEST, _TESTED)}
    _, shown = models_json_schema([(EventView, "serialization"), (ChangeView, "serialization")])
    _add(schemas, shown)
    for name, event in sorted(EVENTS.items()):
        kept = event_schema(name)
        _add(schemas, {"$defs": {event.__name__: kept["schema"]}})
        schemas[f"{event.__name__}Event"] = _event(name, event.__name__, kept["schema_version"])
        schemas[f"{event.__name__}Message"] = _envelope(
            name, _component("schemas", f"{event.__name__}Event")
        )
    return schemas


def _event(name: str, data: str, version: int) -> Json:
    """An event as `GET .../events` shows it; one of long ago has the form of long ago."""
    known = {"properties": {"data": _component("schemas", data)}}
    if version > 1:
        of_today = {"properties": {"schema_version": {"const": version}}}
        known = {"if": of_today, "then": known}
    said = {"type": {"const": name}, "schema_version": {"minimum": 1, "maximum": version}}
    return {"allOf": [_component("schemas", "EventView"), {"properties": said}, known]}


def _envelope(name: str, data: Json) -> Json:
    whose = {
        "required": ["organization_id"],
        "properties": {"organization_id": {"type": "string", "format": "uuid"}},
    }
    return {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": name},
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "description": "When it was recorded.",
            },
            "data": {"allOf": [whose, data]},
        },
    }


_TESTED: Json = {
    "required": ["webhook_id"],
    "properties": {"webhook_id": {"type": "string", "format": "uuid"}},
}
_WEBHOOK_HEADERS: Json = {
    "type": "object",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "webhook-id": {
            "type": "string",
            "description": "The same each time that a message is delivered: whoever has it, knows.",
        },
        "webhook-timestamp": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "When it was sent, in seconds since 1970.",
        },
        "webhook-signature": {
            "type": "string",
            "description": "Of `id.timestamp.body`: `v1,` and an HMAC-SHA256 in base64; several "
            "are apart by spaces, while a secret is changed for another.",
        },
    },
}


def _add(schemas: Json, found: Json) -> None:
    """What is defined in a JSON Schema, and in those that it holds, as components."""
    for name, schema in found.get("$defs", {}).items():
        inner = {key: value for key, value in schema.items() if key != "$defs"}
        moved = _moved(inner)
        if schemas.setdefault(name, moved) != moved:
            raise ValueError(f"there are two kinds of {name}")
        _add(schemas, schema)


def _moved(schema: Any) -> Any:
    """With references to components. A discriminator is OpenAPI's: here, `const` tells."""
    if isinstance(schema, dict):
        return {key: _moved(value) for key, value in schema.items() if key != "discriminator"}
    if isinstance(schema, str) and schema.startswith("#/$defs/"):
        return schema.replace("#/$defs/", "#/components/schemas/")
    return [_moved(part) for part in schema] if isinstance(schema, list) else schema


def _ref(*path: str) -> Json:
    return {"$ref": "#/" + "/".join(path)}


def _component(kind: str, name: str) -> Json:
    return _ref("components", kind, name)
