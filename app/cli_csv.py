"""`okr import` of a spreadsheet: its CSV becomes import documents, one for each period."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.terminal import FileUnreadable, complaints

if TYPE_CHECKING:
    from app.application.import_document import ImportDocument

_SUFFIXES = (".csv", ".tsv")


def _show_example(wanted: bool) -> None:
    if wanted:
        from app.application.import_csv_mapping import EXAMPLE_MAPPING

        typer.echo(EXAMPLE_MAPPING, nl=False)
        raise typer.Exit


Mapping = Annotated[
    Path | None,
    typer.Option(help="How a CSV file is to be read: TOML or JSON; see docs/import.md."),
]
ShowDocument = Annotated[
    bool, typer.Option("--show-document", help="Show what a CSV file becomes; import nothing.")
]
ExampleMapping = Annotated[
    bool,
    typer.Option(
        "--example-mapping",
        callback=_show_example,
        is_eager=True,
        help="Show a mapping with comments.",
    ),
]


def documents_of(file: Path, mapping: Path | None) -> list[ImportDocument]:
    """The documents of a file: its own, or those that a CSV file becomes, whose warnings are told.

    Raises FileUnreadable, CsvInvalid and DocumentInvalid.
    """
    from app.application.import_csv import translate
    from app.application.import_csv_mapping import CsvMapping, read_mapping
    from app.application.import_csv_table import MAX_BYTES
    from app.application.import_document import parse

    is_csv = file.suffix.lower() in _SUFFIXES
    if not is_csv and mapping is None:
        return [parse(_read(file))]
    stated = CsvMapping() if mapping is None else read_mapping(_read(mapping))
    found = translate(_read(file, at_most=MAX_BYTES + 1), stated)
    for warning in found.warnings:
        complaints.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    return found.documents


def show(documents: list[ImportDocument]) -> None:
    """JSON, one document after another."""
    for document in documents:
        shown = document.model_dump_json(by_alias=True, exclude_none=True, indent=2)
        typer.echo(shown)


def _read(file: Path, at_most: int = -1) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(at_most)
    except OSError as error:
        raise FileUnreadable(f"{file} cannot be read: {error.strerror}.") from error
