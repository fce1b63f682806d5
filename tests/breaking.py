"""What a client of one OpenAPI document could no longer rely on under another.

Of what a client sends, nothing may be refused that was taken; of what it gets, nothing may be
missing, or of another kind, that was told. A new value in an answer's enumeration is no breach:
`/v1` grows, and clients are told to expect it (docs/clients.md).

There are tools for this, but none that knows OpenAPI 3.1 and comes from a Python or npm registry.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.publish import FOLDER

Json = dict[str, Any]

RELEASED = FOLDER / "released.json"
"""The document of the last release, on one line; of `x-released` false, until there is one."""

_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


def breaches(old: Json, new: Json) -> list[str]:
    """One line for each thing that breaks clients of the old document; none if nothing does."""
    return sorted(set(_Comparison(old, new).breaches()))


@dataclass(frozen=True, slots=True)
class _Comparison:
    old: Json
    new: Json

    def breaches(self) -> Iterator[str]:
        for path, operations in self.old["paths"].items():
            if path not in self.new["paths"]:
                yield f"{path} is gone"
                continue
            for method in operations.keys() & set(_METHODS):
                here, now = f"{method.upper()} {path}", self.new["paths"][path].get(method)
                if now is None:
                    yield f"{here} is gone"
                else:
                    yield from self._operation(here, operations[method], now)

    def _operation(self, here: str, old: Json, new: Json) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{here}: its operationId was {old.get('operationId')}"
        if "security" in new and "security" not in old:
            yield f"{here}: it needs a key now"
        yield from self._parameters(here, old, new)
        sent, taken = old.get("requestBody"), new.get("requestBody")
        if taken is None and sent is not None:
            yield f"{here}: its body is gone"
        elif taken is not None and taken.get("required") and not (sent or {}).get("required"):
            yield f"{here}: a body is required now"
        if sent is not None and taken is not None:
            yield from self._content(f"{here}, body", sent, taken, sent=True)
        for status, answer in old["responses"].items():
            if int(status) >= 300:
                continue
            if status not in new["responses"]:
                yield f"{here}: it no longer answers {status}"
                continue
            now = new["responses"][status]
            yield from self._content(f"{here}, {status}", answer, now, sent=False)
            for header in answer.get("headers", {}).keys() - now.get("headers", {}).keys():
                yield f"{here}, {status}: the header {header} is gone"

    def _parameters(self, here: str, old: Json, new: Json) -> Iterator[str]:
        before, after = (
            {(one["in"], one["name"].lower()): one for one in operation.get("parameters", ())}
            for operation in (old, new)
        )
        for at, one in before.items():
            if at not in after:
                yield f"{here}: the parameter {one['name']} is gone"
            else:
                schemas = one["schema"], after[at]["schema"]
                yield from self._schema(f"{here}, parameter {one['name']}", *schemas, sent=True)
        for at, one in after.items():
            if one.get("required") and not before.get(at, {}).get("required"):
                yield f"{here}: the parameter {one['name']} is required now"

    def _content(self, here: str, old: Json, new: Json, *, sent: bool) -> Iterator[str]:
        now = new.get("content", {})
        for media_type, described in old.get("content", {}).items():
            if media_type not in now:
                yield f"{here}: {media_type} is gone"
            else:
                schemas = described.get("schema", {}), now[media_type].get("schema", {})
                yield from self._schema(here, *schemas, sent=sent)

    def _schema(
        self, here: str, old: Json, new: Json, *, sent: bool, seen: tuple[str, ...] = ()
    ) -> Iterator[str]:
        """`seen`: the references on the way here, since schemas may contain themselves."""
        pair = f"{old.get('$ref')} {new.get('$ref')}"
        if "$ref" in old and pair in seen:
            return
        seen = (*seen, pair)
        old, new = _resolved(self.old, old), _resolved(self.new, new)
        befores, afters = _choices(self.old, old), _choices(self.new, new)
        if len(befores) > 1 or len(afters) > 1:
            yield from self._union(here, befores, afters, sent=sent, seen=seen)
            return
        old, new = befores[0], afters[0]
        # What is sent must fit the new schema, what is got the old one.
        yield from _narrowed(here, *((old, new) if sent else (new, old)), sent=sent)
        before, after = old.get("properties", {}), new.get("properties", {})
        for name, one in before.items():
            if name not in after:
                if not sent or new.get("additionalProperties") is False:
                    yield f"{here}: {name} is gone"
            else:
                at = f"{here}/{name}"
                yield from self._schema(at, one, after[name], sent=sent, seen=seen)
        was, now = set(old.get("required", ())), set(new.get("required", ()))
        for name in now - was if sent else (was - now) & after.keys():
            yield f"{here}: {name} is {'required now' if sent else 'no longer always there'}"
        if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
            yield from self._schema(f"{here}/-", old["items"], new["items"], sent=sent, seen=seen)

    def _union(
        self, here: str, old: list[Json], new: list[Json], *, sent: bool, seen: tuple[str, ...]
    ) -> Iterator[str]:
        """Each choice must find a place on the other side: one that breaks nothing, or its like."""
        for one in old if sent else new:
            found = [
                list(self._schema(here, *pair, sent=sent, seen=seen))
                for pair in ([(one, to) for to in new] if sent else [(was, one) for was in old])
                if _like(*pair)
            ]
            if not found:
                yield f"{here}: {_told(one)} is {'no longer taken' if sent else 'answered now'}"
            elif all(found):
                yield from min(found, key=len)


def _resolved(document: Json, schema: Json) -> Json:
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
    return schema


def _choices(document: Json, schema: Json) -> list[Json]:
    """What a union is made of, unions in it included; a schema of several types is one, too."""
    schema = _resolved(document, schema)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return [one for part in schema[word] for one in _choices(document, part)]
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": one} for one in schema["type"]]
    return [schema]


def _like(old: Json, new: Json) -> bool:
    """Whether these are the same choice: of one type, and with the same tag if they have one."""
    tags = [
        {
            name: one["const"]
            for name, one in schema.get("properties", {}).items()
            if isinstance(one, dict) and "const" in one
        }
        for schema in (old, new)
    ]
    shared = tags[0].keys() & tags[1].keys()
    kinds = {old.get("type"), new.get("type")}
    return (len(kinds) == 1 or kinds == {"integer", "number"} or None in kinds) and all(
        tags[0][name] == tags[1][name] for name in shared
    )


def _told(schema: Json) -> str:
    return str(schema.get("title") or schema.get("type") or "something else")


def _narrowed(here: str, wide: Json, narrow: Json, *, sent: bool) -> Iterator[str]:
    """Where `narrow` takes less than `wide`; for answers the two change sides."""
    kinds = wide.get("type"), narrow.get("type")
    if kinds[1] is not None and kinds[0] != kinds[1] and kinds != ("integer", "number"):
        was, now = kinds if sent else kinds[::-1]
        yield f"{here}: its type is {now}, and was {was}"
    values = [_values(schema) for schema in (wide, narrow)]
    if values[1] is not None and (values[0] is None or values[0] - values[1]):
        # An answer may grow new values; one that had a list of them has one still.
        if sent:
            lost = "" if values[0] is None else f": {', '.join(sorted(values[0] - values[1]))}"
            yield f"{here}: it takes fewer values{lost}"
        elif values[0] is None:
            yield f"{here}: its values are listed no longer"
    if sent:
        for words, less in ((_UPPER, -1), (_LOWER, 1)):
            for word in words:
                if word in narrow and (word not in wide or (narrow[word] - wide[word]) * less > 0):
                    yield f"{here}: {word} is {narrow[word]}, and was {wide.get(word, 'none')}"
        for word in ("pattern", "format"):
            if word in narrow and narrow[word] != wide.get(word):
                yield f"{here}: its {word} is another"


def _values(schema: Json) -> set[str] | None:
    """The values that a schema lists, as text; None where it lists none."""
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if listed is None else {str(value) for value in listed}


def main() -> int:
    """`python -m tests.breaking`: what the document breaks of the last release's; exits with 1.

    With `--keep`, today's becomes what later ones are held against; with `--release`, as the
    document of a release.
    """
    new = json.loads((FOLDER / "openapi.json").read_text())
    if {"--keep", "--release"} & set(sys.argv[1:]):
        new["info"]["x-released"] = "--release" in sys.argv[1:]
        RELEASED.write_text(json.dumps(new, ensure_ascii=False, separators=(",", ":")) + "\n")
        return 0
    found = breaches(json.loads(RELEASED.read_text()), new)
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
