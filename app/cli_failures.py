"""What commands say of what went wrong, where its message is all that there is to say."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from app.application.import_csv_table import CsvInvalid
from app.application.import_document import DocumentInvalid
from app.application.restore import NotRestorable
from app.database import DatabaseUnfit
from app.domain.errors import Refusal
from app.embedded import EmbeddedPostgresError
from app.events.store import LedgerMissing
from app.evidence.notes import NotANote
from app.signing import SigningKeyUnfit

_SHOWN = 20


def told(error: Exception) -> Sequence[str]:
    """A line for each thing that is wrong; none where it is an error of the program."""
    match error:
        case ValidationError():
            return [f"{_variable(one['loc'])}: {one['msg']}" for one in error.errors()]
        case CsvInvalid():
            lines = [str(note) for note in error.notes]
            more = len(lines) - _SHOWN
            told_of_more = [f"and {more} more; nothing was imported"] if more > 0 else []
            return lines[:_SHOWN] + told_of_more
        case DocumentInvalid():
            problems = error.facts["errors"][:_SHOWN]  # type: ignore[index]
            return [f"{one['pointer'] or 'the document'}: {one['detail']}" for one in problems]
        case (
            DatabaseUnfit()
            | EmbeddedPostgresError()
            | LedgerMissing()
            | NotANote()
            | NotRestorable()
            | Refusal()
            | SigningKeyUnfit()
        ):
            return [str(error)]
        case _:
            return []


def _variable(place: tuple[int | str, ...]) -> str:
    """The environment's name of a setting."""
    name = "_".join(str(part) for part in place).upper()
    return name if name == "DATABASE_URL" else f"OKR_{name}"
