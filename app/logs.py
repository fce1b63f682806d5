"""Logs: one line of JSON for each thing that happened, and never what a client sent.

The message of an exception may hold anything: a value that was not valid, a statement's
parameters, a row that was there already. So exceptions are logged by their kind, where they were
raised, and Postgres's own code of the error; their messages are not.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Literal

import asyncpg

Style = Literal["json", "text"]

_MOST_FRAMES = 30
# Nothing should bring a key, a token or an address here. If something does, it stops here.
_SECRET = re.compile(
    r"okr_[a-z]{2,10}_[0-9A-Za-z]{6,}|whsec_[0-9A-Za-z+/=]+|eyJ[\w-]+\.[\w-]*\.?[\w-]*|[Bb]earer\s+[^\s\"\\]+"
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"
)
# One of these is in whatever matches: to look for them takes a hundredth of the time.
_SIGNS = ("okr_", "whsec_", "eyJ", "earer", "@")


def report(log: logging.Logger, said: str, error: BaseException, **facts: Any) -> None:
    """Log a failure: what kind it is and where it was raised, and not what it says."""
    told = described(error)
    log.error("%s: %s", said, told["type"], extra={"facts": {**facts, "error": told}})


def described(error: BaseException, *, seen: frozenset[int] = frozenset()) -> dict[str, Any]:
    """An exception without its message, and what it was caused by."""
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    told: dict[str, Any] = {"type": f"{module}{kind.__qualname__}"}
    if isinstance(error, asyncpg.PostgresError):
        # Names of the schema and codes; `detail` and `hint` would show values.
        told |= {
            name: value
            for name in ("sqlstate", "table_name", "constraint_name", "column_name")
            if (value := getattr(error, name, None))
        }
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    told["at"] = [f"{_short(one.filename)}:{one.lineno} {one.name}" for one in frames]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and id(cause) not in seen:
        told["caused_by"] = described(cause, seen=seen | {id(error)})
    if isinstance(error, BaseExceptionGroup):
        told["of"] = [described(one, seen=seen | {id(error)}) for one in error.exceptions[:10]]
    return told


def _short(filename: str) -> str:
    """The end of a path: what is above the program is nobody's business."""
    return "/".join(PurePath(filename).parts[-3:])


class _Formatter(logging.Formatter):
    """What both styles have in common."""

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        said = record.getMessage()
        if not record.name.startswith("app."):
            # Libraries put what failed on the lines after the first.
            said = said.partition("\n")[0]
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": said,
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            facts["error"] = described(record.exc_info[1])
        return facts


_JSON = json.JSONEncoder(ensure_ascii=True, default=str)


class Json(_Formatter):
    """A line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        return _redacted(_JSON.encode(self.facts(record)))


class Text(_Formatter):
    """A line to be read by a person."""

    def format(self, record: logging.LogRecord) -> str:
        facts = self.facts(record)
        begin = " ".join(str(facts.pop(name)) for name in ("time", "level", "logger", "message"))
        rest = (f"{name}={_value(value)}" for name, value in facts.items() if value is not None)
        return _redacted(" ".join((begin.replace("\n", " "), *rest)))


def _value(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)


def _redacted(line: str) -> str:
    if not any(sign in line for sign in _SIGNS):
        return line
    return _SECRET.sub("[redacted]", line)


def handler(style: Style) -> logging.Handler:
    made = logging.StreamHandler(sys.stderr)
    made.setFormatter(Json() if style == "json" else Text())
    return made


def configure(style: Style) -> None:
    """Log to standard error, unless whoever embeds the program has set logging up already."""
    logging.getLogger("app").setLevel(logging.INFO)
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler(style))
        # Of a record that nobody else formats, no line says where and by whom it was made.
        logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
        logging._srcfile = None
