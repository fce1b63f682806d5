"""`okr check-in`: one check-in, or a table of them, to a server over HTTP."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import typer
from rich.progress import Progress

from app.terminal import CannotDo, complain, console, progress_bar

if TYPE_CHECKING:
    import httpx

check_in = typer.Typer()

COLUMNS = (
    "key_result",
    "value",
    "increment",
    "confidence",
    "health",
    "note",
    "next_steps",
    "occurred_at",
    "external_id",
)
TOGETHER = 500
"""Rows of one request."""
_BYTES_TOGETHER = 1_000_000
_WAITS = (0.5, 1.0, 2.0, 4.0)
_NOT_NOW = frozenset({408, 429, 503})


class CannotCheckIn(CannotDo):
    """The table cannot be read, or the server cannot be asked."""


@dataclass(frozen=True, slots=True)
class Row:
    """An item of a batch, and the line of the file that it ends on."""

    line: int
    item: dict[str, Any]


@dataclass(slots=True)
class Tally:
    recorded: int = 0
    known: int = 0
    refused: int = 0


# The command ------------------------------------------------------------------------------


@check_in.command("check-in")
def record(
    key_result: Annotated[str | None, typer.Argument(help="The key result's id.")] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", help=f"Many, from a table: {', '.join(COLUMNS)}.")
    ] = None,
    value: Annotated[str | None, typer.Option(help="A number, true or false, or a level.")] = None,
    increment: Annotated[str | None, typer.Option(help="Instead: what is added.")] = None,
    confidence: Annotated[str | None, typer.Option(help="Of reaching the target, 0 to 1.")] = None,
    health: Annotated[str | None, typer.Option(help="on_track, at_risk or off_track.")] = None,
    note: Annotated[str | None, typer.Option(help="What there is to say.")] = None,
    next_steps: Annotated[str | None, typer.Option(help="What is next.")] = None,
    occurred_at: Annotated[str | None, typer.Option(help="When it was true; else now.")] = None,
    external_id: Annotated[
        str | None, typer.Option(help="The source's own id: by it, a second delivery is known.")
    ] = None,
    source: Annotated[str, typer.Option(help="Whose ids the external ids are.")] = "okr-cli",
    server: Annotated[
        str, typer.Option(envvar="OKR_SERVER", help="Where the server is.")
    ] = "http://127.0.0.1:8000",
    key: Annotated[str, typer.Option(envvar="OKR_KEY", hidden=True)] = "",
    organization: Annotated[
        UUID | None, typer.Option(help="Whose; needed where the key opens several.")
    ] = None,
) -> None:
    """Check in on a key result, or on many from a table. The key is read from OKR_KEY.

    A row that is refused is told of, and leaves the others: the exit status is 2 then. A table
    may be sent again: what was recorded is recognised by its external id, or, within two days, by
    the file that was not changed.
    """
    said = {
        "key_result": key_result,
        "value": value,
        "increment": increment,
        "confidence": confidence,
        "health": health,
        "note": note,
        "next_steps": next_steps,
        "occurred_at": occurred_at,
        "external_id": external_id,
    }
    stated = {name: text for name, text in said.items() if text is not None}
    if (table is None) == (key_result is None) or (table is not None and stated):
        raise typer.BadParameter("Name a key result and what to say of it, or a table (--csv).")
    if not key:
        raise CannotCheckIn("Set OKR_KEY to an API key with the scope check-ins:write.")
    with _Server.at(server, key, organization) as reached:
        if table is None:
            tally = Tally()
            reached.send([Row(1, item_of(stated, source))], uuid4().hex, tally, "")
        else:
            tally = _send_table(reached, table, source)
    console.print(
        f"{tally.recorded} recorded, {tally.known} known already, {tally.refused} refused."
    )
    if tally.refused:
        sys.exit(2)


def _send_table(server: _Server, table: Path, source: str) -> Tally:
    tally = Tally()
    try:
        # Of a file that was written anew, the same row is another check-in.
        changed = table.stat().st_mtime_ns
        with progress_bar(of_bytes=True) as progress:
            task = progress.add_task(table.name, total=table.stat().st_size)

            def refuse(line: int, why: str) -> None:
                tally.refused += 1
                _complain(progress, f"{table.name}, line {line}: {why}")

            read = rows(table, source, refuse, lambda done: progress.update(task, advance=done))
            for batch in batches(read):
                once = f"{changed} {batch[0].line} {json.dumps([row.item for row in batch])}"
                name = f"{table.name}, line"
                server.send(batch, hashlib.sha256(once.encode()).hexdigest(), tally, name)
    except OSError as error:
        raise CannotCheckIn(f"{table} cannot be read: {error.strerror}.") from error
    return tally


def _complain(progress: Progress, text: str) -> None:
    progress.console.print(text, style="red", markup=False, soft_wrap=True)


# The server -------------------------------------------------------------------------------


@dataclass(slots=True)
class _Server:
    """One organisation of a server."""

    client: httpx.Client
    path: str = ""
    waits: tuple[float, ...] = field(default=_WAITS)

    @classmethod
    def at(cls, base: str, key: str, organization: UUID | None) -> _Server:
        """Raises CannotCheckIn."""
        import httpx

        try:
            client = httpx.Client(
                base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=60
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise CannotCheckIn(f"{base} or the key cannot be used: {error}.") from error
        server = cls(client)
        try:
            org_id = organization or server.only_one()
        except BaseException:
            client.close()
            raise
        server.path = f"/v1/organizations/{org_id}/check-ins:batch?partial=true"
        return server

    def only_one(self) -> str:
        """The organisation that the key opens. Raises CannotCheckIn when there are several."""
        found = self.ask("GET", "/v1/organizations").json()["items"]
        if len(found) != 1:
            named = "".join(f"\n{one['id']} {one['name']}" for one in found)
            raise CannotCheckIn(f"The key opens {len(found)}; name one: --organization{named}")
        return str(found[0]["id"])

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def send(self, batch: list[Row], once: str, tally: Tally, name: str) -> None:
        """Have a batch recorded, and tell of what is refused. Raises CannotCheckIn."""
        # External ids are enough, and let what was refused be decided anew.
        named = all("external" in row.item for row in batch)
        headers = {} if named else {"Idempotency-Key": once}
        body = {"items": [row.item for row in batch]}
        answer = self.ask("POST", self.path, json=body, headers=headers)
        is_old = "Idempotency-Replayed" in answer.headers
        for row, result in zip(batch, answer.json()["items"], strict=True):
            problem = result.get("problem")
            if problem is None:
                tally.known += is_old
                tally.recorded += not is_old
            elif problem["type"] == "/problems/already-exists":
                tally.known += 1
            else:
                tally.refused += 1
                complain(f"{f'{name} {row.line}: ' if name else ''}{_told(problem)}")

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """An answer, after some patience with a server that is not there, or busy."""
        import httpx

        why = ""
        for wait in (*self.waits, None):
            try:
                answer = self.client.request(method, path, **options)
            except httpx.UnsupportedProtocol as error:
                raise CannotCheckIn(str(error)) from error
            except (httpx.TransportError, httpx.InvalidURL) as error:
                why = f"{self.client.base_url} does not answer: {error or type(error).__name__}."
            else:
                if answer.is_success:
                    return answer
                why = _why(answer)
                if answer.status_code not in _NOT_NOW:
                    break
            if wait is not None:
                time.sleep(wait)
        raise CannotCheckIn(f"{why} What was recorded is known when you send it again.")


def _why(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code}: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code}: {answer.reason_phrase}; is this an OKR Ledger?"


def _told(problem: dict[str, Any]) -> str:
    """A problem in one line, without the place in the batch."""
    kind = problem["type"].removeprefix("/problems/")
    listed = problem.get("errors") or []
    details = [
        f"{'/'.join(one['pointer'].split('/')[3:]) or 'row'}: {one['detail']}" for one in listed
    ]
    return f"{'; '.join(details) or problem['detail']} ({kind})"


# The table --------------------------------------------------------------------------------


def batches(read: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows, as many together as fit into a request."""
    together: list[Row] = []
    size = 0
    for row in read:
        length = len(json.dumps(row.item))
        if together and (len(together) >= TOGETHER or size + length > _BYTES_TOGETHER):
            yield together
            together, size = [], 0
        together.append(row)
        size += length
    if together:
        yield together


def rows(
    table: Path,
    source: str,
    refuse: Callable[[int, str], None],
    progress: Callable[[int], None],
) -> Iterator[Row]:
    """The rows of a table, one after the other. Raises CannotCheckIn, OSError."""
    with table.open("rb") as raw:
        reader = csv.reader(_text(table, raw, progress), strict=True, delimiter=_delimiter(table))
        try:
            names = _columns(table, next(reader, []))
            for cells in reader:
                stated = [cell.strip() for cell in cells]
                if not any(stated):
                    continue
                if len(stated) > len(names):
                    refuse(reader.line_num, f"It has {len(stated)} cells for {len(names)} columns.")
                    continue
                said = {name: cell for name, cell in zip(names, stated, strict=False) if cell}
                yield Row(reader.line_num, item_of(said, source))
        except csv.Error as error:
            raise CannotCheckIn(f"{table}, line {reader.line_num}: {error}.") from error


def _text(table: Path, raw: Any, progress: Callable[[int], None]) -> Iterator[str]:
    # Bounded: what has no line's end is no table.
    number = 0
    while line := raw.readline(_BYTES_TOGETHER):
        number += 1
        progress(len(line))
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise CannotCheckIn(
                f"{table}, line {number}, is not UTF-8: save it as UTF-8."
            ) from error


def _delimiter(table: Path) -> str:
    """Spreadsheets of half the world write semicolons."""
    with table.open("rb") as raw:
        heading = raw.readline(_BYTES_TOGETHER)
    return ";" if heading.count(b";") > heading.count(b",") else ","


def _columns(table: Path, heading: list[str]) -> list[str]:
    names = [cell.strip().lower().replace(" ", "_") for cell in heading]
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or "key_result" not in names or len(set(names)) < len(names):
        raise CannotCheckIn(
            f"{table}: the first line names the columns, each once: key_result, and of the others "
            f"what there is ({', '.join(COLUMNS[1:])})."
            + (f" There is no column {unknown[0][:100]!r}." if unknown else "")
        )
    return names


def item_of(said: dict[str, str], source: str) -> dict[str, Any]:
    """What is sent of what is said. Whether it makes sense, the server says."""
    item: dict[str, Any] = {}
    for name, text in said.items():
        match name:
            case "key_result":
                item["key_result_id"] = text
            case "external_id":
                item["external"] = {"source": source, "external_id": text}
            case "value" if text.lower() in ("true", "false"):
                item["value"] = text.lower() == "true"
            case "value" | "increment" | "confidence":
                item[name] = _number(text)
            case _:
                item[name] = text
    return item


def _number(text: str) -> int | float | str:
    """A JSON number, where it is one."""
    try:
        number = Decimal(text)
        whole = number.is_finite() and number == number.to_integral_value()
        found = int(number) if whole and abs(number) < 10**15 else float(number)
    except (ArithmeticError, ValueError):
        return text
    return found if math.isfinite(found) else text
