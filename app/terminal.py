"""What the commands of `okr` share: where they write, and how they show progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
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

console = Console(highlight=False)
complaints = Console(highlight=False, stderr=True)

Organization = Annotated[
    UUID | None, typer.Option(help="Only this organisation; else all of them.")
]


class CannotDo(Exception):
    """A command cannot do what it is asked; the message says why."""


class FileUnreadable(CannotDo):
    """A file named on the command line cannot be read, or not as what it has to be."""


def complain(text: str) -> None:
    complaints.print(text, style="red", markup=False, soft_wrap=True)


def show_key(key: str | None) -> None:
    """Show an operator's key, where there is a new one."""
    if key is not None:
        console.print(f"Operator's key, shown only now: [bold]{key}[/bold]", soft_wrap=True)


def read_text(file: Path) -> str:
    """Raises FileUnreadable."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnreadable(f"{file} cannot be read: {error}.") from error


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
