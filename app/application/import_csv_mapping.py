"""How a spreadsheet's words are told: our names for its columns, its statuses, its periods."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.application.import_document import DocumentInvalid, Reachable
from app.application.pointers import pointed
from app.domain.values import Key, Line, Prose


class Column(StrEnum):
    """Our name for a column. Those that begin with its kind belong to that kind of goal alone."""

    TYPE = "type"
    ID = "id"
    TITLE = "title"
    OBJECTIVE_ID = "objective_id"
    OBJECTIVE = "objective"
    OBJECTIVE_OWNER = "objective_owner"
    OBJECTIVE_STATUS = "objective_status"
    KEY_RESULT_ID = "key_result_id"
    KEY_RESULT = "key_result"
    KEY_RESULT_OWNER = "key_result_owner"
    OWNER = "owner"
    TEAM = "team"
    PARENT = "parent"
    WHY = "why"
    KIND = "kind"
    START = "start"
    TARGET = "target"
    CURRENT = "current"
    PROGRESS = "progress"
    UNIT = "unit"
    PERIOD = "period"
    STARTS_ON = "starts_on"
    ENDS_ON = "ends_on"
    STATUS = "status"
    SCORE = "score"
    CONFIDENCE = "confidence"
    WEIGHT = "weight"
    UPDATED_ON = "updated_on"
    COMMENT = "comment"


class Reported(StrEnum):
    """What a status may mean. `done` and `cancelled` are kept as they were reported."""

    NOT_STARTED = "not_started"
    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    OFF_TRACK = "off_track"
    DONE = "done"
    CANCELLED = "cancelled"


Word = Annotated[str, Field(min_length=1, max_length=300)]
"""A cell as the spreadsheet has it; compared without regard to case and white space."""


class OverrideMapping(BaseModel):
    """Opens an organisation's first cycle; `by` is an e-mail address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Line = Field(pattern="@")
    reason: Prose


class CsvMapping(BaseModel):
    """What cannot be seen in a CSV file, or what it says in words of its own.

    `owner` and `period` hold where a row names none. `phase` is where the cycles are brought; by
    default as far as the data needs. A fiscal year begins with the month `fiscal_year_starts` (1
    to 12) and is named by the year in which it ends.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [{"source": "planning-sheet", "columns": {"objective": "Our goal"}}]
        },
    )

    source: Key = "spreadsheet"
    organization: Line | None = None
    company: Line | None = Field(default=None, description="The owner at the top of all teams.")
    owner: Line | None = None
    period: Word | None = None
    phase: Reachable | None = None
    override: OverrideMapping | None = None
    delimiter: Literal[",", ";", "\t"] | None = None
    decimal: Literal[".", ","] | None = None
    dates: Literal["day-first", "month-first"] | None = None
    fiscal_year_starts: int | None = Field(default=None, ge=1, le=12, strict=True)
    columns: dict[Column, Word] = {}
    statuses: dict[Word, Reported] = {}
    periods: dict[Word, Word] = Field(
        default={}, description="Its word: ours (2026 Q1), or two days (2026-01-01..2026-03-31)."
    )
    owners: dict[Word, Line] = {}


def read_mapping(data: bytes) -> CsvMapping:
    """A mapping from TOML or JSON. Raises DocumentInvalid."""
    try:
        text = data.decode("utf-8-sig")
        written: Any = json.loads(text) if text.lstrip()[:1] == "{" else tomllib.loads(text)
    except ValueError as unreadable:
        raise _invalid([("", f"is neither TOML nor JSON in UTF-8: {unreadable}")]) from unreadable
    try:
        return CsvMapping.model_validate(written)
    except ValidationError as invalid:
        found = invalid.errors(include_input=False, include_context=False, include_url=False)
        wrong = [(one["pointer"], one["detail"]) for one in pointed(found, written)]
        raise _invalid(wrong) from invalid


def _invalid(wrong: list[tuple[str, str]]) -> DocumentInvalid:
    errors = [{"pointer": f"/mapping{pointer}", "detail": detail} for pointer, detail in wrong]
    return DocumentInvalid(f"{errors[0]['pointer']}: {errors[0]['detail']}", errors=errors[:100])


def folded(text: str) -> str:
    """A word as it is compared: case, white space, hyphens and underscores do not matter."""
    return " ".join(text.replace("_", " ").replace("-", " ").split()).casefold()


# Names ------------------------------------------------------------------------------------

_COLUMN_NAMES: dict[Column, str] = {
    Column.TYPE: "type, item type, row type, okr type, level type, typ, art, type d'élément, tipo",
    Column.ID: "id, key, item id, nr, nummer, no, number, ref, reference, référence",
    Column.TITLE: "title, name, item, titel, bezeichnung, titre, nom, título, nombre, description "
    "of goal",
    Column.OBJECTIVE_ID: "objective id, objective key, objective nr, goal id, ziel id, ziel nr",
    Column.OBJECTIVE: "objective, objectives, objective title, objective name, goal, goal title, "
    "o, ziel, ziele, objectif, objetivo, obiettivo, doel",
    Column.OBJECTIVE_OWNER: "objective owner, goal owner, owner of objective, ziel verantwortlich, "
    "verantwortlich für ziel",
    Column.OBJECTIVE_STATUS: "objective status, goal status, ziel status",
    Column.KEY_RESULT_ID: "key result id, kr id, key result key, kr nr, schlüsselergebnis id",
    Column.KEY_RESULT: "key result, key results, key result title, key result name, kr, krs, "
    "schlüsselergebnis, schlüsselergebnisse, kernergebnis, résultat clé, resultado clave, "
    "risultato chiave, kernresultaat, measure of success",
    Column.KEY_RESULT_OWNER: "key result owner, kr owner, owner of key result, kr verantwortlich",
    Column.OWNER: "owner, owners, owned by, assignee, responsible, accountable, lead, "
    "verantwortlich, verantwortliche, verantwortlicher, verantwortliche person, besitzer, "
    "eigentümer, inhaber, responsable, propriétaire, propietario, responsabile, eigenaar",
    Column.TEAM: "team, department, group, squad, unit name, abteilung, bereich, gruppe, équipe, "
    "equipo, departamento, afdeling",
    Column.PARENT: "parent, parent id, parent objective, parent goal, parent title, aligned to, "
    "aligned with, alignment, supports, contributes to, übergeordnet, übergeordnetes ziel, "
    "zahlt ein auf, unterstützt, objectif parent, objetivo padre",
    Column.WHY: "why, description, objective description, rationale, purpose, beschreibung, "
    "begründung, warum, descripción",
    Column.KIND: "kind, metric type, key result type, kr type, measure, measure type, "
    "measurement type, messart, art der messung, metriktyp",
    Column.START: "start, start value, starting value, baseline, initial, initial value, from, "
    "startwert, ausgangswert, anfangswert, von, basis, valeur initiale, valor inicial",
    Column.TARGET: "target, target value, goal value, to, zielwert, soll, sollwert, bis, cible, "
    "valeur cible, meta, valor objetivo, doelwert",
    Column.CURRENT: "current, current value, actual, actual value, value, latest value, now, "
    "aktuell, aktueller wert, istwert, ist, wert, stand, valeur actuelle, valor actual",
    Column.PROGRESS: "progress, progress %, % progress, percent complete, % complete, completion, "
    "% done, fortschritt, fortschritt %, progression, avancement, progreso, avance, voortgang",
    Column.UNIT: "unit, units, unit of measure, uom, metric unit, einheit, maßeinheit, unité, "
    "unidad, unità, eenheid",
    Column.PERIOD: "period, cycle, quarter, time period, timeframe, time frame, session, "
    "planning period, okr cycle, zeitraum, periode, quartal, zyklus, période, trimestre, "
    "periodo, período, ciclo",
    Column.STARTS_ON: "start date, starts on, starts, begin, begin date, period start, "
    "startdatum, beginn, anfang, date de début, fecha de inicio",
    Column.ENDS_ON: "end date, ends on, ends, due, due date, deadline, period end, enddatum, ende, "
    "fällig, fällig am, date de fin, fecha de fin",
    Column.STATUS: "status, state, health, key result status, kr status, rag, rag status, "
    "on track?, zustand, ampel, statut, état, estado, stato",
    Column.SCORE: "score, final score, grade, key result score, kr score, bewertung, note, "
    "punktzahl, puntuación",
    Column.CONFIDENCE: "confidence, confidence level, confidence score, zuversicht, konfidenz, "
    "confiance, confianza",
    Column.WEIGHT: "weight, weighting, gewicht, gewichtung, poids, peso",
    Column.UPDATED_ON: "updated, last updated, updated on, updated at, last update, last check in, "
    "check in date, as of, aktualisiert, aktualisiert am, zuletzt aktualisiert, stand vom",
    Column.COMMENT: "comment, comments, notes, latest comment, check in note, latest update, "
    "kommentar, notiz, notizen, bemerkung, anmerkung, commentaire, comentario",
}
COLUMN_OF: dict[str, Column] = {
    folded(name): column for column, names in _COLUMN_NAMES.items() for name in names.split(",")
}

_STATUS_NAMES: dict[Reported, str] = {
    Reported.NOT_STARTED: "not started, open, new, to do, todo, backlog, draft, planned, pending, "
    "no status, none, n/a, nicht begonnen, nicht gestartet, offen, neu, entwurf, geplant, "
    "non commencé, no iniciado",
    Reported.ON_TRACK: "on track, green, in progress, ongoing, active, on plan, im plan, "
    "auf kurs, grün, läuft, in arbeit, aktiv, en bonne voie, en cours, en curso, verde, vert",
    Reported.AT_RISK: "at risk, yellow, amber, orange, needs attention, behind, progressing, "
    "gefährdet, gelb, in gefahr, risiko, à risque, jaune, en riesgo, amarillo",
    Reported.OFF_TRACK: "off track, red, blocked, delayed, late, critical, rot, blockiert, "
    "kritisch, nicht im plan, verzögert, en retard, rouge, atrasado, rojo",
    Reported.DONE: "done, complete, completed, achieved, closed, finished, reached, hit, success, "
    "erledigt, fertig, abgeschlossen, erreicht, geschlossen, terminé, atteint, completado, hecho",
    Reported.CANCELLED: "cancelled, canceled, abandoned, dropped, discontinued, won't do, "
    "deprioritized, postponed, abgebrochen, verworfen, gestrichen, eingestellt, annulé, "
    "abandonné, cancelado",
}
STATUS_OF: dict[str, Reported] = {
    folded(name): status for status, names in _STATUS_NAMES.items() for name in names.split(",")
}


# An example -------------------------------------------------------------------------------

EXAMPLE_MAPPING = """\
# How `okr import FILE.csv --mapping THIS` reads your spreadsheet. Leave out what fits already:
# most columns are recognised by their usual names, in English and German. JSON will do as well.

# Names where the rows come from. Keep it: a second import finds the rows again by it.
source = "planning-sheet"
# The organisation that a first import founds, and the owner who stands above all teams.
organization = "Harbour & Sons"
company = "Harbour & Sons"

# Where a row names none.
# owner = "Harbour & Sons"
# period = "2026 Q1"

# How far to bring the cycle: planned, drafting, active, scoring, reflecting, closed.
# phase = "active"

# How the file is written. Without these it is worked out, and told, or asked for.
# delimiter = ";"
# decimal = ","             # 1.234,5
# dates = "day-first"       # 31/01/2026; or "month-first"
# fiscal_year_starts = 4    # FY26 is April 2025 to March 2026

# Our name = the heading of your column.
[columns]
objective = "Our goal"
key_result = "How we will know"
# Also: type, id, title, objective_id, objective_owner, objective_status, key_result_id,
# key_result_owner, owner, team, parent, why, kind, start, target, current, progress, unit, period,
# starts_on, ends_on, status, score, confidence, weight, updated_on, comment

# Your word = not_started, on_track, at_risk, off_track, done, cancelled.
[statuses]
"Sunny" = "on_track"
"Cloudy" = "at_risk"

# Your word = a period as usual, or its first and last day.
[periods]
"Winter" = "2026-01-01..2026-03-31"

# Your spelling = the owner. Also for a name with a comma, which else means two owners.
[owners]
"R&D, Berlin" = "R&D Berlin"

# Opens an organisation's first cycle before deployment and training are done.
# [override]
# by = "ada@example.org"
# reason = "We move in with a quarter that has begun."
"""


def needed_columns() -> Iterator[str]:
    """What a file must have, in words."""
    yield "objective and key_result"
    yield "or type and title"
