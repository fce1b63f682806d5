"""From a spreadsheet's CSV to import documents: what is read, what is told, what is refused."""

from __future__ import annotations

import csv
import io
import json
import time
import tracemalloc
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from app.application.import_csv import Translated, translate
from app.application.import_csv_mapping import EXAMPLE_MAPPING, Column, CsvMapping, read_mapping
from app.application.import_csv_table import MAX_ROWS, CsvInvalid
from app.application.import_csv_values import Period, Unreadable, amount, period
from app.application.import_document import (
    DocumentInvalid,
    ImportDocument,
    KeyResultItem,
    ObjectiveItem,
    parse,
)
from app.application.importing import run_import
from app.application.ledgers import Ledgers
from app.domain.measures import AnyMeasure, Baseline, Metric, Milestone, Threshold
from app.domain.values import Health
from app.events.envelope import Meta

DATA = Path(__file__).resolve().parents[1] / "data" / "csv"
META = Meta("operator/test", "import", uuid7())
HEADING = "Objective,Owner,Key result,Start,Target,Current,Unit,Period,Status,Parent"


def _read(name: str, **mapping: Any) -> Translated:
    return translate((DATA / name).read_bytes(), CsvMapping.model_validate(mapping))


def _of(*rows: str, heading: str = HEADING, **mapping: Any) -> Translated:
    return translate("\n".join([heading, *rows]), CsvMapping.model_validate(mapping))


def _only(found: Translated) -> ImportDocument:
    (document,) = found.documents
    assert parse(document.model_dump_json(by_alias=True).encode()) == document
    return document


def _key_results(found: Translated) -> dict[str, KeyResultItem]:
    return {k.title: k for document in found.documents for _, _, k in document.key_results()}


def _told(found: Translated) -> list[str]:
    return [str(warning) for warning in found.warnings]


def _refused(*rows: str, heading: str = HEADING, **mapping: Any) -> list[str]:
    with pytest.raises(CsvInvalid) as refused:
        _of(*rows, heading=heading, **mapping)
    return [str(note) for note in refused.value.notes]


# Shapes -----------------------------------------------------------------------------------


def test_a_row_per_key_result_with_its_objective_repeated_or_left_blank_below() -> None:
    document = _only(_read("one_row_per_key_result.csv"))
    assert document.cycle.name == "2026 Q1"
    assert (document.cycle.starts_on, document.cycle.ends_on) == (
        date(2026, 1, 1),
        date(2026, 3, 31),
    )
    readers, search, titles = document.objectives
    assert [len(one.key_results) for one in document.objectives] == [3, 2, 1]
    assert readers.targets == ()
    assert search.targets == titles.targets == (readers.key,)
    returning, complaints, lists = readers.key_results
    assert returning.measure == Metric(unit="%", baseline=Decimal(30), target=Decimal(45))
    assert complaints.measure == Metric(
        unit="complaints", baseline=Decimal(40), target=Decimal(10)
    ), "what falls is a metric too"
    assert returning.check_ins[0].value == 34
    assert returning.check_ins[0].health == Health.ON_TRACK
    assert lists.measure == Milestone()


def test_a_column_may_tell_objectives_from_key_results() -> None:
    found = _read("typed_rows.csv", fiscal_year_starts=4)
    document = _only(found)
    assert (document.cycle.name, document.cycle.starts_on) == ("FY26 Q2", date(2025, 7, 1))
    ports, crews = document.objectives
    assert crews.targets == (ports.key,)
    berths, customs = ports.key_results
    turnover, days = crews.key_results
    assert berths.measure == Metric(unit="number", baseline=Decimal(4), target=Decimal(9))
    assert customs.measure == Milestone()
    assert customs.check_ins[0].value is True
    assert turnover.measure == Metric(unit="%", baseline=Decimal(22), target=Decimal(15))
    assert days.measure == Threshold(unit="number", bound="at_least", limit=Decimal(14))
    assert {one.email: one.name for one in document.people} == {
        "mira.holm@example.org": "mira.holm@example.org",
        "jonas.lind@example.org": "Jonas Lind",
    }
    owned = {one.key: one.email for one in document.people}
    assert owned[str(turnover.owner)] == "jonas.lind@example.org"
    assert any("row 7" in told and "left out" in told for told in _told(found)), "an initiative"


def test_a_german_file_is_read_as_it_is() -> None:
    found = _read("german.csv")
    document = _only(found)
    assert document.cycle.name == "2026 Q1", "two spellings of one period"
    known = _key_results(found)
    revenue = known["Umsatz mit Bestehenden"]
    assert revenue.measure == Metric(unit="€", baseline=Decimal(1250000), target=Decimal(1500000))
    assert revenue.check_ins[0].value == Decimal("1310500.5")
    assert known["Abwanderung im Quartal"].measure == Metric(
        unit="%", baseline=Decimal("8.5"), target=Decimal(5)
    )
    template = known["Neue Vorlage ist eingeführt"]
    assert (template.measure, template.check_ins[0].value) == (Milestone(), True)
    assert any("line break" in told for told in _told(found))
    assert any("decimal mark ','" in told for told in _told(found))


def test_each_period_is_a_document_of_its_own() -> None:
    found = _read("two_periods.csv")
    first, second = found.documents
    assert (first.cycle.name, second.cycle.name) == ("2026 Q1", "2026 Q2")
    assert first.objectives[0].title == second.objectives[0].title
    assert first.objectives[0].key != second.objectives[0].key
    check_in = first.objectives[0].key_results[0].check_ins[0]
    assert (check_in.value, check_in.note) == (62, "Fog in February,\nand a strike.")
    assert {one.email for one in first.people if one.teams} == {
        "lea.brandt@example.org",
        "tom.sauer@example.org",
    }
    assert any("row 4" in told and "heading" in told for told in _told(found))


def test_key_results_may_stand_apart_from_the_objective_that_they_name() -> None:
    found = _of(
        "KR,A berth is free,Ports open,0,5,,berths,,",
        "O,Ports open,,,,,,Works,2026 Q1",
        heading="Type,Title,Parent,Start,Target,Current,Unit,Owner,Period",
    )
    assert [k.title for k in _only(found).objectives[0].key_results] == ["A berth is free"]


# Encodings, delimiters --------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_are_recognised_and_nothing_is_told_of_them(encoding: str) -> None:
    text = f"{HEADING}\nMehr Gäste,Küche,Essen je Tag,10,20,,Stück,2026 Q1,,\n"
    found = translate(text.encode(encoding), CsvMapping())
    assert _only(found).objectives[0].title == "Mehr Gäste"
    assert not any("Windows" in told for told in _told(found))


def test_windows_1252_is_read_and_told() -> None:
    text = f"{HEADING}\nMehr Gäste,Küche,Essen,10 €,20 €,,,2026 Q1,,\n"
    found = translate(text.encode("cp1252"), CsvMapping())
    assert _key_results(found)["Essen"].measure == Metric(
        unit="€", baseline=Decimal(10), target=Decimal(20)
    )
    assert any("Windows-1252" in told for told in _told(found))


@pytest.mark.parametrize("data", [b"\x81\x8d\x8f", b"\xff\xfeO\x00\x00\xd8"])
def test_what_is_in_no_encoding_is_refused_with_what_to_do(data: bytes) -> None:
    with pytest.raises(CsvInvalid, match="export it again"):
        translate(data, CsvMapping())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("declared", [True, False])
def test_delimiters_are_found(delimiter: str, newline: str, declared: bool) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator=newline)
    writer.writerow(HEADING.split(","))
    writer.writerow([])
    writer.writerow(["A; B, C\tD", "Team", "One", "0", "5", "", "x", "2026 Q1", "", ""])
    head = f"sep={delimiter}{newline}" if declared else ""
    found = translate(head + written.getvalue(), CsvMapping())
    assert _only(found).objectives[0].title == "A; B, C D" if delimiter else ""
    with pytest.raises(CsvInvalid) as refused:
        translate(head + written.getvalue().replace("2026 Q1", "Winter"), CsvMapping())
    assert refused.value.notes[0].row == (4 if declared else 3), "blank rows count"


# Numbers, periods -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mark", "value", "unit"),
    [
        ("1,234.5", ".", "1234.5", None),
        ("1.234,5", ",", "1234.5", None),
        ("1'234.50", ".", "1234.50", None),
        ("10\u00a0000", ".", "10000", None),
        ("70 %", ".", "70", "%"),
        ("€ 1.2M", ".", "1200000", "€"),
        ("3 Mio. €", ",", "3000000", "€"),
        ("5k", ".", "5000", None),
        ("5 m", ".", "5", "m"),
        ("40 customers", ".", "40", "customers"),
        ("(3)", ".", "-3", None),
        ("\u22125", ".", "-5", None),
        ("1.2E+05", ".", "120000", None),
        (".5", ".", "0.5", None),
    ],
)
def test_numbers_are_read(text: str, mark: Literal[".", ","], value: str, unit: str | None) -> None:
    found = amount(text)
    assert (found.value(mark), found.unit) == (Decimal(value), unit)


@pytest.mark.parametrize("text", ["", "many", "2/5", "12:30", "50 of 100", "> 5", "1-2", "5 + 3"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="is no number"):
        amount(text)


@pytest.mark.parametrize("text", ["1,23.4", "1,5", "12,34,567"])
def test_a_number_that_does_not_fit_the_decimal_mark_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match=r"does not fit|no number"):
        amount(text).value(".")


@pytest.mark.parametrize(
    ("text", "name", "first", "last"),
    [
        ("Q1 2026", "2026 Q1", date(2026, 1, 1), date(2026, 3, 31)),
        ("2026-Q4", "2026 Q4", date(2026, 10, 1), date(2026, 12, 31)),
        ("2026Q2", "2026 Q2", date(2026, 4, 1), date(2026, 6, 30)),
        ("Q3 '26", "2026 Q3", date(2026, 7, 1), date(2026, 9, 30)),
        ("1. Quartal 2024", "2024 Q1", date(2024, 1, 1), date(2024, 3, 31)),
        ("H2 2026", "2026 H2", date(2026, 7, 1), date(2026, 12, 31)),
        ("2026", "2026", date(2026, 1, 1), date(2026, 12, 31)),
        ("February 2024", "2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("FY26 Q1", "FY26 Q1", date(2025, 4, 1), date(2025, 6, 30)),
        ("Q4 FY2026", "FY26 Q4", date(2026, 1, 1), date(2026, 3, 31)),
        ("FY26", "FY26", date(2025, 4, 1), date(2026, 3, 31)),
        ("01.01.2026 - 31.03.2026", "2026 Q1", date(2026, 1, 1), date(2026, 3, 31)),
        ("Jan 5, 2026 to 14 Feb 2026", "2026-01-05 to 2026-02-14", date(2026, 1, 5), None),
    ],
)
def test_periods_are_read(text: str, name: str, first: date, last: date | None) -> None:
    found = period(text, None, 4)
    assert (found.name, found.starts_on) == (name, first)
    assert last is None or found.ends_on == last


@pytest.mark.parametrize(
    "text",
    [
        "Winter",
        "Q5 2026",
        "Q1",
        "FY25/26",
        "Q1 H1 2026",
        "31.03.2026 - 01.01.2026",
        "30.02.2026 - 1.3.2026",
    ],
)
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        period(text, None)


def test_a_day_that_may_be_two_is_asked_for_and_another_date_may_show_it() -> None:
    row = "Ports open,Works,Berths,0,5,,berths,{},,"
    (told,) = _refused(row.format("01/02/2026 - 03/04/2026"))
    assert "`dates`" in told
    found = _of(row.format("01/02/2026 - 28/02/2026"))
    assert _only(found).cycle.starts_on == date(2026, 2, 1)
    found = _of(row.format("01/02/2026 - 03/04/2026"), dates="month-first")
    assert _only(found).cycle.starts_on == date(2026, 1, 2)


def test_a_doubtful_number_is_told_and_the_mapping_settles_it() -> None:
    row = "Ports open,Works,Berths,0,1.234,,berths,2026 Q1,,"
    found = _of(row)
    assert any("read as 1.234" in told and "`decimal`" in told for told in _told(found))
    found = _of(row, decimal=",")
    assert _key_results(found)["Berths"].measure == Metric(
        unit="berths", baseline=Decimal(0), target=Decimal(1234)
    )
    assert not any("`decimal`" in told for told in _told(found))


def test_what_is_inferred_of_a_measure_is_told() -> None:
    found = _of(
        "Ports open,Works,Berths,,5,,,2026 Q1,,",
        ",,The crane stands,,,,,,,",
        ",,Cranes,0,3,-,cranes,,,",
    )
    told = "\n".join(_told(found))
    assert "row 2, Start: is blank: taken as 0" in told
    assert "row 2, Unit: is blank: taken as 'number'" in told
    assert "row 3, Target: is blank: taken as a milestone" in told
    assert "row 4, Current: '-' is read as no value" in told


def test_progress_stands_in_for_a_current_value_and_that_is_told() -> None:
    heading = "Objective,Owner,Key result,Start,Target,Progress,Unit,Period"
    found = _of("Ports open,Works,Berths,10,20,40%,berths,2026 Q1", heading=heading)
    assert _key_results(found)["Berths"].check_ins[0].value == 14
    assert any("worked out" in told for told in _told(found))


# Owners, parents, statuses ----------------------------------------------------------------


def test_titles_may_be_another_owners_too() -> None:
    found = _of(
        "Ports open,Works,Berths,0,5,,berths,2026 Q1,,",
        "Ports open,Crew,Berths,0,4,,berths,2026 Q1,,",
        "Ports open,Works,Cranes,0,3,,cranes,2026 Q1,,",
    )
    works, crew = _only(found).objectives
    assert [k.title for k in works.key_results] == ["Berths", "Cranes"]
    assert (crew.owner, len(crew.key_results)) == ("crew", 1)
    assert any("another owner" in told for told in _told(found))


def test_keys_that_are_kept_for_ever_tell_no_address() -> None:
    found = _of("Ports open,ada@example.org,Berths,0,5,,berths,2026 Q1,,")
    document = _only(found)
    keys = [one.key for one in document.people] + [one.key for one in document.owners]
    keys += [one.key for one in document.objectives]
    keys += [k.key for _, _, k in document.key_results()]
    assert not any("ada" in key for key in keys)


def test_owners_that_were_taken_for_teams_are_told() -> None:
    found = _of("Ports open,Works,Berths,0,5,,berths,2026 Q1,,")
    assert any("taken as teams: 'Works'" in told for told in _told(found))


def test_a_company_stands_above_the_teams() -> None:
    found = _of("Ports open,Works,Berths,0,5,,berths,2026 Q1,,", company="Harbour & Sons")
    levels = {one.name: (str(one.level), one.parent) for one in _only(found).owners}
    assert levels == {"Harbour & Sons": ("company", None), "Works": ("team", "harbour & sons")}


def test_parents_that_lead_back_are_refused() -> None:
    row = "{},Works,{},0,5,,berths,2026 Q1,,{}"
    (told,) = _refused(
        row.format("A", "a", "B"), row.format("B", "b", "C"), row.format("C", "c", "A")
    )
    assert "leads back to itself" in told
    assert all(number in told for number in ("2", "3", "4"))
    assert "leads back" in _refused(row.format("A", "a", "A"))[0]


def test_a_parent_of_another_period_is_left_out_and_told_and_an_unknown_one_refused() -> None:
    year = "The year,Works,Ships,0,5,,ships,2026,,"
    found = _of(year, "Ports open,Works,Berths,0,5,,berths,2026 Q1,,The year")
    assert [one.supports for document in found.documents for one in document.objectives] == [
        None,
        None,
    ]
    assert any("another period" in told for told in _told(found))
    (told,) = _refused("Ports open,Works,Berths,0,5,,berths,2026 Q1,,The moon")
    assert told.startswith("row 2, Parent: 'The moon' is no goal of this file")


def test_statuses_become_what_the_ledger_knows_of_or_are_kept_as_notes() -> None:
    found = _of(
        "Ports open,Works,Berths,0,5,,berths,2026 Q1,Sunny,",
        ",,Cranes,0,3,,cranes,,Abandoned,",
        ",,The crane stands,,yes,,,,Done,",
        ",,Pilots,0,3,0,pilots,,Not started,",
        statuses={"sunny": "on_track"},
    )
    known = _key_results(found)
    assert known["Berths"].check_ins[0].health == Health.ON_TRACK
    assert known["Cranes"].check_ins[0].note == "Reported as “Abandoned”."
    assert known["The crane stands"].check_ins[0].value is True
    assert known["Pilots"].check_ins == ()
    assert any("changes no state" in told for told in _told(found))


def test_a_plan_takes_no_check_ins() -> None:
    found = _of("Ports open,Works,Berths,0,5,2,berths,2026 Q1,,", phase="drafting")
    assert _key_results(found)["Berths"].check_ins == ()
    assert any("check-ins are left out" in told for told in _told(found))


# Mappings ---------------------------------------------------------------------------------


def test_the_example_of_a_mapping_is_one() -> None:
    mapping = read_mapping(EXAMPLE_MAPPING.encode())
    found = _of(
        'Ports open,"R&D, Berlin",Berths,0,5,3,berths,Winter,Sunny',
        heading="Our goal,Owner,How we will know,Start,Target,Current,Unit,Period,Status",
        **mapping.model_dump(mode="json"),
    )
    document = _only(found)
    assert document.cycle.name == "2026 Q1"
    assert {one.name for one in document.owners} == {"Harbour & Sons", "R&D Berlin"}
    assert document.objectives[0].key_results[0].check_ins[0].health == Health.ON_TRACK
    for column in Column:
        assert column in EXAMPLE_MAPPING


def test_a_mapping_may_be_json_and_its_mistakes_are_pointed_at() -> None:
    written = {"source": "sheet", "columns": {"objective": "Our goal"}, "fiscal_year_starts": 4}
    mapping = read_mapping(json.dumps(written).encode())
    assert mapping.columns == {Column.OBJECTIVE: "Our goal"}
    for wrong in (
        b'[columns]\nmoon = "x"',
        b"source = ",
        b"\xff\xfe",
        b"{",
        b"fiscal_year_starts = 13",
    ):
        with pytest.raises(DocumentInvalid, match="/mapping"):
            read_mapping(wrong)


def test_a_column_of_the_mapping_must_be_there() -> None:
    (told,) = _refused("a,b", columns={"objective": "Our goal"})
    assert "has no column 'Our goal'" in told
    assert "'Objective'" in told


# What cannot be used ----------------------------------------------------------------------


def test_wrong_columns_are_told_with_those_that_are_needed() -> None:
    (told,) = _refused("1,2", heading="Name of ship,Tonnage")
    assert "'Name of ship', 'Tonnage'" in told
    assert "objective and key_result" in told
    (told,) = _refused("1,2,3", heading="Objective,Goal,Key result")
    assert "both 'Objective' and 'Goal'" in told


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            ["Ports open,Works,Berths,0,many,,berths,2026 Q1,,"],
            "row 2, Target: 'many' is no number",
        ),
        (["Ports open,Works,Berths,0,=B2*2,,berths,2026 Q1,,"], "is a formula: export the values"),
        (["Ports open,Works,#REF!,0,5,,berths,2026 Q1,,"], "is a formula's error"),
        (
            ["Ports open,Works,Berths,0,5,,berths,2026 Q1,Stormy,"],
            "the status 'Stormy' is not known",
        ),
        (["Ports open,Works,Berths,0,5,,berths,Winter,,"], "'Winter' is no period"),
        (["Ports open,Works,Berths,0,5,,berths,,,"], "row 2, Period: is blank"),
        (["Ports open,,Berths,0,5,,berths,2026 Q1,,"], "row 2, Owner: is blank"),
        (["Ports open,Works; Crew,Berths,0,5,,,2026 Q1,,"], "may be two owners"),
        (['Ports open,"a@x.org, b@x.org",Berths,0,5,,,2026 Q1,,'], "may be two owners"),
        (["Ports open,Works,Berths,5,5,,berths,2026 Q1,,"], "is the same as the start"),
        (["Ports open,Works,Berths,5,,,berths,2026 Q1,,"], "give the value to reach"),
        (["Ports open,Works,Reduce delays,,5,,days,2026 Q1,,"], "give the value to begin from"),
        (["Ports open,Works,Berths,5 €,9 $,,,2026 Q1,,"], "use one unit"),
        (["Ports open,Works,Berths,0,5000000000,,berths,2026 Q1,,"], "less than or equal to"),
        ([",,Berths,0,5,,berths,2026 Q1,,"], "no row above names one"),
        (["Ports\x00open,Works,Berths,0,5,,berths,2026 Q1,,"], "control character '\\x00'"),
        (["Ports open,Works,Berths,0,5,,berths,2026 Q1,,,more"], "more cells than the heading"),
        (["Ports open,Works," + "x" * 301 + ",0,5,,berths,2026 Q1,,"], "at most 300 characters"),
        (["Ports open,Works," + "x" * 10_001 + ",0,5,,berths,2026 Q1,,"], "may have 10,000"),
        (['Ports open,Works,"Berths,0,5,,berths,2026 Q1,,'], "never closed"),
        (["Ports open,Works,Berths,0,5,,b,2026 Q1,,"] * 2, "row 3: is row 2 again"),
        ([], "no rows below"),
    ],
)
def test_a_row_that_must_be_changed_says_how(rows: list[str], told: str) -> None:
    assert any(told in one for one in _refused(*rows)), _refused(*rows)


def test_all_rows_that_must_be_changed_are_told_at_once() -> None:
    told = _refused(*["Ports open,Works,Berths,0,many,,berths,Winter,,"] * 3)
    assert {one.split(",")[0] for one in told} == {"row 2", "row 3", "row 4"}


def test_two_owners_of_one_objective_are_refused() -> None:
    heading = f"Objective ID,{HEADING}"
    (told,) = _refused(
        "O1,Ports open,Works,Berths,0,5,,berths,2026 Q1,,",
        "O1,Ports open,Crew,Cranes,0,5,,cranes,2026 Q1,,",
        heading=heading,
    )
    assert "row 3, Owner: gives the objective of row 2 a second owner" in told


def test_a_text_that_looks_like_a_formula_stays_text_and_is_told() -> None:
    found = _of("=cmd|' /C calc'!A0,Works,Berths,0,5,,berths,2026 Q1,,")
    assert _only(found).objectives[0].title == "=cmd|' /C calc'!A0"
    assert any("never worked out" in told for told in _told(found))


def test_a_file_of_too_many_rows_is_refused_soon_and_without_much_memory() -> None:
    row = "Ports open,Works,Berths {},0,5,,berths,2026 Q1,,"
    data = "\n".join([HEADING, *(row.format(n) for n in range(100_000))]).encode()
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(CsvInvalid, match=f"more than {MAX_ROWS:,} rows: split it"):
        translate(data, CsvMapping())
    assert time.monotonic() - began < 20
    assert tracemalloc.get_traced_memory()[1] < 150_000_000
    tracemalloc.stop()


def test_as_many_rows_as_may_be_are_read_in_seconds() -> None:
    row = "Ports {},Works,Berths {},0,5,2,berths,2026 Q1,On track,"
    began = time.monotonic()
    found = _of(*(row.format(n // 4, n) for n in range(MAX_ROWS)))
    assert len(_only(found).objectives) == MAX_ROWS // 4
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("cell", ["x" * 10_000_000, '"' + "x" * 10_000_000 + '"'])
def test_a_cell_of_ten_megabytes_is_refused(cell: str) -> None:
    (told,) = _refused(f"Ports open,Works,{cell},0,5,,berths,2026 Q1,,")
    assert told.startswith("row 2: has a cell far beyond")


def test_a_file_beyond_the_bound_is_refused() -> None:
    with pytest.raises(CsvInvalid, match="split it by period"):
        translate(b"x" * 20_000_001, CsvMapping())


# Into a ledger ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["one_row_per_key_result.csv", "typed_rows.csv", "german.csv", "two_periods.csv"],
)
async def test_a_file_is_imported_whole_and_a_second_time_changes_nothing(
    ledgers: Ledgers, founded: UUID, name: str
) -> None:
    override = {"by": "ada@example.org", "reason": "We move in."}
    for outcome in ("created", "unchanged"):
        found = _read(name, source=name, override=override, fiscal_year_starts=4)
        for number, document in enumerate(found.documents):
            report = await run_import(ledgers, founded, document, meta=META)
            said = {(item.kind, item.key, item.outcome, str(item.problem)) for item in report.items}
            # What a later document shares with an earlier one is there already.
            kinds = {"owners", "people", "memberships"} if number else set()
            others = [one for one in said if one[2] != outcome and one[0] not in kinds]
            assert others == []


async def test_a_later_export_adds_its_check_ins_and_leaves_the_rest(
    ledgers: Ledgers, founded: UUID
) -> None:
    override = {"by": "ada@example.org", "reason": "We move in."}
    row = "Ports open,Works,Berths,0,5,{},berths,2026 Q1,,"
    for current, created in ((1, 1), (1, 0), (3, 1)):
        document = _only(_of(row.format(current), override=override))
        report = await run_import(ledgers, founded, document, meta=META)
        assert report.counts["check_ins"].created == created
        assert report.counts["key_results"].differs == 0


# There and back ---------------------------------------------------------------------------

_NUMBERS = st.decimals(-(10**9), 10**9, places=6) | st.integers(-(10**6), 10**6).map(Decimal)
_LINES = (
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40)
    .map(str.strip)
    .filter(lambda text: text and not text.startswith("#"))
)
_PROSE = st.text("abc äß,;\n\t\"'=", min_size=1, max_size=60).map(str.strip).filter(bool)
_UNITS = st.sampled_from(["customers", "%", "€", "days", "m²"])
_OWNERS = st.sampled_from(["Works", "Crew", "Küche & Co.".replace(" & ", "/"), "ada@example.org"])


def _metric(unit: str, baseline: Decimal, target: Decimal) -> Metric:
    return Metric(unit=unit, baseline=baseline, target=target)


_MEASURES: st.SearchStrategy[AnyMeasure] = st.one_of(
    st.just(Milestone()),
    st.builds(Baseline, unit=_UNITS),
    st.builds(
        Threshold, unit=_UNITS, bound=st.sampled_from(["at_least", "at_most"]), limit=_NUMBERS
    ),
    st.builds(_metric, _UNITS, _NUMBERS, _NUMBERS).filter(lambda one: one.baseline != one.target),
)


@dataclass(frozen=True)
class Exported:
    """A document's goals as tools export them, and how."""

    objectives: tuple[ObjectiveItem, ...]
    layout: Literal["repeated", "blank", "typed"]
    delimiter: str
    decimal: str
    encoding: str


@st.composite
def _exports(draw: st.DrawFn) -> Exported:
    titles = draw(
        st.lists(
            _LINES, min_size=1, max_size=12, unique_by=lambda t: " ".join(t.split()).casefold()
        )
    )
    objectives: list[ObjectiveItem] = []
    chance, owner = st.booleans(), st.none() | _OWNERS
    while titles:
        title, *titles = titles
        count = draw(st.integers(0, 3))
        key_results = tuple(
            KeyResultItem(
                key=one,
                title=one,
                measure=draw(_MEASURES),
                weight=draw(st.sampled_from([Decimal(1), Decimal("0.5"), Decimal(20)])),
                owner=draw(owner),
            )
            for one in titles[:count]
        )
        titles = titles[count:]
        above = [one.title for one in objectives]
        parent = draw(st.sampled_from(above)) if above else None
        has_parent: bool = draw(chance)
        objectives.append(
            ObjectiveItem(
                key=title,
                owner=draw(_OWNERS),
                title=title,
                why=draw(st.none() | _PROSE),
                supports=parent if has_parent else None,
                key_results=key_results,
            )
        )
    delimiter, decimal = draw(st.sampled_from([(",", "."), (";", ","), ("\t", ".")]))
    return Exported(
        tuple(objectives),
        draw(st.sampled_from(["repeated", "blank", "typed"])),
        delimiter,
        decimal,
        draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
    )


def _written(exported: Exported) -> bytes:
    """The CSV. A key result's owner stands beside it only where it is another one."""

    def number(value: Decimal | None) -> str:
        return "" if value is None else f"{value:f}".replace(".", exported.decimal)

    rows: list[dict[Column, str]] = []
    for one in exported.objectives:
        said = {
            Column.OBJECTIVE: one.title,
            Column.OBJECTIVE_OWNER: one.owner,
            Column.WHY: one.why or "",
            Column.PARENT: str(one.supports or ""),
            Column.PERIOD: "2026 Q1",
        }
        if exported.layout == "typed" or not one.key_results:
            rows.append({Column.TYPE: "Objective", **said})
        for n, key_result in enumerate(one.key_results):
            measure = key_result.measure
            row = {
                Column.TYPE: "Key Result",
                Column.KEY_RESULT: key_result.title,
                Column.KEY_RESULT_OWNER: key_result.owner or "",
                Column.KIND: measure.kind,
                Column.UNIT: "" if isinstance(measure, Milestone) else measure.unit,
                Column.WEIGHT: number(key_result.weight),
            }
            if isinstance(measure, Metric):
                row[Column.START] = number(measure.baseline)
                row[Column.TARGET] = number(measure.target)
            if isinstance(measure, Threshold):
                row[Column.KIND] = measure.bound
                row[Column.TARGET] = number(measure.limit)
            repeats = exported.layout == "repeated" or (exported.layout == "blank" and n == 0)
            rows.append(row | said if repeats else row)
    columns = [c for c in Column if c is not Column.TYPE or exported.layout == "typed"]
    columns = [c for c in columns if any(c in row for row in rows)]
    columns += [c for c in (Column.KEY_RESULT,) if c not in columns]
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=exported.delimiter)
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return written.getvalue().encode(exported.encoding)


def _plain(
    objectives: tuple[ObjectiveItem, ...], names: dict[str, str], titles: dict[str, str]
) -> Any:
    return [
        (
            one.title,
            names[one.owner],
            one.why,
            [titles[key] for key in one.targets],
            [
                (k.title, k.measure, k.weight, names[k.owner or one.owner], k.check_ins, k.score)
                for k in one.key_results
            ],
        )
        for one in objectives
    ]


@settings(max_examples=150, deadline=None)
@given(_exports())
def test_goals_that_were_exported_come_back_the_same(exported: Exported) -> None:
    document = _only(translate(_written(exported), CsvMapping()))
    names = {one.key: one.name for one in document.owners}
    names |= {one.key: one.name for one in document.people}
    titles = {one.key: one.title for one in document.objectives}
    same = {one.owner: one.owner for one in exported.objectives}
    same |= {k.owner: k.owner for one in exported.objectives for k in one.key_results if k.owner}
    before = _plain(exported.objectives, same, {one.key: one.title for one in exported.objectives})
    assert _plain(document.objectives, names, titles) == before


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text("Objective,KeyRsult\n\"';=0 €%", max_size=200))
def test_whatever_is_sent_is_read_or_refused(data: bytes | str) -> None:
    for whole in (
        data,
        f"{HEADING}\n{data}" if isinstance(data, str) else HEADING.encode() + b"\n" + data,
    ):
        # Anything but a refusal fails.
        with suppress(DocumentInvalid):
            translate(whole, CsvMapping())


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.integers(1, 12))
def test_a_period_is_read_or_refused(text: str, starts: int) -> None:
    try:
        found = period(text, None, starts)
    except Unreadable:
        return
    assert isinstance(found, Period)
    assert found.starts_on <= found.ends_on
