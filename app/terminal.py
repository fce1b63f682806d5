"""What the commands of `okr` share: where they write, how they show progress, how they begin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from uuid_utils.compat import uuid7

from app.application.ledgers import Ledgers
from app.events.envelope import Meta
from app.place import Place, place

T = TypeVar("T")

console = Console(highlight=False)
complaints = Console(highlight=False, stderr=True)

Organization = Annotated[
    UUID | None, typer.Option(help="Only this organisation; else all of them.")
]


class FileUnreadable(Exception):
    """A file named on the command line cannot be read."""


def complain(text: str) -> None:
    complaints.print(text, style="red", markup=False, soft_wrap=True)


def read_text(file: Path) -> str:
    """Raises FileUnreadable."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnreadable(f"{file} cannot be read: {error}.") from error


def with_ledgers(work: Callable[[Ledgers, Place], Coroutine[Any, Any, T]]) -> T:
    """Run something on the ledgers of the place that the environment names."""

    async def run(here: Place) -> T:
        async with here.ledgers() as ledgers:
            return await work(ledgers, here)

    with place() as here:
        return asyncio.run(run(here))


@contextmanager
def progress_bar(*, of_bytes: bool = False) -> Iterator[Progress]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn() if of_bytes else MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=complaints if of_bytes else console,
    ) as progress:
        yield progress


def step(progress: Progress, task: TaskID, done: int) -> None:
    progress.update(task, completed=done)


def meta(source: str) -> Meta:
    return Meta("operator/cli", source, uuid7())
