"""`okr import` of a spreadsheet, as a person runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from app.application.import_csv_mapping import read_mapping
from app.application.import_document import parse
from tests.server import run

DATA = Path(__file__).resolve().parent / "data" / "csv"
_MAPPING = """\
source = "trains"
organization = "Night Trains"
[override]
by = "ada@example.org"
reason = "We move in."
"""


def test_a_spreadsheet_is_imported_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(_MAPPING)
    command = ("import", DATA / "two_periods.csv", "--mapping", mapping)
    status, said = run(tmp_path, *command, "--dry-run")
    assert status == 0, said
    assert said.count("Dry run: nothing recorded") == 2
    assert "warning: row 4: is taken for the heading" in said

    status, said = run(tmp_path, *command)
    assert status == 0, said
    assert re.findall(r"key_results\s+│ 2\s+│ 2\s+│ 0", said), said
    (organization,) = set(re.findall(r"Organisation (\S+),", said))
    position = re.findall(r"ledger position (\d+)", said)

    status, said = run(tmp_path, *command)
    assert status == 0, said
    assert set(re.findall(r"Organisation (\S+),", said)) == {organization}
    assert re.findall(r"ledger position (\d+)", said) == [position[-1]] * 2


def test_what_a_spreadsheet_becomes_is_shown_without_a_database(tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgresql://okr@127.0.0.1:1/okr"}
    file = DATA / "one_row_per_key_result.csv"
    status, said = run(tmp_path, "import", file, "--show-document", **nowhere)
    assert status == 0, said
    shown = said[said.index("{") : said.rindex("}") + 1]
    assert [one.title for one in parse(shown.encode()).objectives] == [
        "Readers find their next book with us",
        "Search understands what people mean",
        "Every title has its story told",
    ]
    assert json.loads(shown)["source"] == "spreadsheet"


def test_the_example_of_a_mapping_is_shown_and_is_one(tmp_path: Path) -> None:
    status, said = run(tmp_path, "import", "--example-mapping")
    assert status == 0
    assert read_mapping(said.encode()).source == "planning-sheet"


def test_rows_that_must_be_changed_are_said_in_a_line_each(tmp_path: Path) -> None:
    file = tmp_path / "broken.csv"
    rows = ["Ports open,Works,Berths,many", *(f",,Cranes {n},many" for n in range(30))]
    file.write_text("\n".join(["Objective,Owner,Key result,Target", *rows]))
    status, said = run(tmp_path, "import", file)
    assert status == 1
    assert "row 2, period: is blank" in said
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('period = "2026 Q1"')
    status, said = run(tmp_path, "import", file, "--mapping", mapping)
    assert status == 1
    assert "row 2, Target: 'many' is no number" in said
    assert "and 11 more" in said

    mapping.write_text('period = 7\nmoon = "x"')
    status, said = run(tmp_path, "import", file, "--mapping", mapping)
    assert status == 1
    assert "/mapping/period: " in said
    status, said = run(tmp_path, "import", "nowhere.csv")
    assert (status, said) == (1, "nowhere.csv cannot be read: No such file or directory.\n")
