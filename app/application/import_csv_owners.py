"""Owners of the goals in a table: teams, and people where there is an e-mail address."""

from __future__ import annotations

import re
from hashlib import sha256

from app.application.import_csv_goals import GoalReader, Row, line
from app.application.import_csv_mapping import Column, CsvMapping, folded
from app.application.import_csv_values import shown
from app.application.import_document import (
    OverrideItem,
    OwnerItem,
    PersonItem,
)
from app.domain.values import Level

_KEY_LENGTH = 190
_EMAIL = re.compile(r"[^\s@<>(),;]+@[^\s@<>(),;]+\.[^\s@<>(),;]+")
_SEVERAL = re.compile(r"[,;|\n]|\s(?:&|and|und|\+)\s")


def stable_key(*parts: str) -> str:
    """Readable, and the same again for the same parts; a long one ends in their hash."""
    whole = " / ".join(parts)
    if len(whole) <= _KEY_LENGTH:
        return whole
    return f"{whole[:160]}… {sha256(whole.encode()).hexdigest()[:20]}"


def person_key(email: str) -> str:
    """The ledger keeps keys for ever, so that this one tells nothing of the person."""
    return stable_key("person", sha256(email.casefold().encode()).hexdigest()[:20])


class Owners:
    """Tells owners by what a table calls them, and remembers whom it named."""

    def __init__(self, mapping: CsvMapping, read: GoalReader) -> None:
        self.mapping = mapping
        self.read = read
        self.teams: dict[str, str] = {}
        self.people: dict[str, tuple[str, str]] = {}
        self.member_of: dict[str, list[str]] = {}
        self.taken_as_teams: dict[str, None] = {}
        self.owner_words = {folded(word): name for word, name in mapping.owners.items()}

    def of_key_result(self, number: int, row: Row, *, follows: bool) -> str | None:
        """None where it is the objective's."""
        if Column.KEY_RESULT_OWNER in row:
            return self.named(number, row[Column.KEY_RESULT_OWNER], Column.KEY_RESULT_OWNER)
        if Column.TEAM in row:
            team = self.named(number, row[Column.TEAM], Column.TEAM)
            if team is not None:
                self._besideteam(number, row, team)
            if follows and not self.is_lead(row):
                return team
        if Column.OWNER in row and (follows or self.is_lead(row)):
            return self.named(number, row[Column.OWNER], Column.OWNER)
        return None

    def is_lead(self, row: Row) -> bool:
        """A person beside a team: the team owns the objective, the person the row's key result."""
        return Column.TEAM in row and _EMAIL.search(row.get(Column.OWNER, "")) is not None

    def of_objective(self, number: int, row: Row, *, told: bool) -> str | None:
        if Column.OBJECTIVE_OWNER in row:
            return self.named(number, row[Column.OBJECTIVE_OWNER], Column.OBJECTIVE_OWNER, told)
        if Column.TEAM in row:
            team = self.named(number, row[Column.TEAM], Column.TEAM, told)
            if told and team is not None:
                self._besideteam(number, row, team)
            return team
        if Column.OWNER in row:
            return self.named(number, row[Column.OWNER], Column.OWNER, told)
        if self.mapping.owner is not None:
            return self.named(number, self.mapping.owner, Column.OWNER, told)
        if told:
            told_ = "is blank: name who owns the objective, or `owner` in the mapping"
            self.read.problem(number, Column.OWNER, told_)
        return None

    def _besideteam(self, number: int, row: Row, team: str) -> None:
        if Column.OWNER not in row:
            return
        if not self.is_lead(row):
            told = "is no e-mail address: the team owns the objective, and this name is left out"
            self.read.warn(number, Column.OWNER, told)
            return
        person = self.named(number, row[Column.OWNER], Column.OWNER)
        if person is not None:
            teams = self.member_of.setdefault(person, [])
            if team not in teams:
                teams.append(team)
            told = "beside a team, is taken as its member, and owns the key result of its row"
            self.read.warn(number, Column.OWNER, told)

    def named(self, number: int, text: str, column: Column, told: bool = True) -> str | None:
        """The key of a person, where there is an e-mail address, or else of a team."""
        mapped = self.owner_words.get(folded(text))
        emails = _EMAIL.findall(mapped or text)
        several = len(emails) > 1 or (not emails and _SEVERAL.search(text))
        if several and mapped is None:
            if told:
                told_ = (
                    f"{shown(text)} may be two owners: name one; where it is one, say so under "
                    "[owners] in the mapping"
                )
                self.read.problem(number, column, told_)
            return None
        if emails:
            return self._person(number, mapped or text, emails[0], column)
        name = self.read.fit(line, " ".join((mapped or text).split()), number, column)
        if name is None:
            return None
        if column is not Column.TEAM and name != self.mapping.company:
            self.taken_as_teams.setdefault(name)
        return self.team(name)

    def team(self, name: str) -> str:
        key = stable_key(" ".join(name.split()).casefold())
        self.teams.setdefault(key, name)
        return key

    def _person(self, number: int, text: str, email: str, column: Column) -> str | None:
        name = " ".join(text.replace(email, " ").strip(" <>()\t,;").split())
        if not name:
            self.read.warn(number, column, "has an address and no name: the address is the name")
        fitting = self.read.fit(line, name or email, number, column)
        if fitting is None:
            return None
        key = person_key(email)
        known = self.people.get(key)
        if known is None or (known[0] == known[1] and name):
            self.people[key] = (fitting, email)
        return key

    # Items

    def override(self) -> OverrideItem | None:
        """Who opens the cycle before all is ready, as the mapping says."""
        stated = self.mapping.override
        if stated is None:
            return None
        by = person_key(stated.by)
        self.people.setdefault(by, (stated.by, stated.by))
        return OverrideItem(by=by, reason=stated.reason)

    def people_beside(self, used: set[str]) -> tuple[PersonItem, ...]:
        """The people among these, and the members of the teams among them."""
        return tuple(
            PersonItem(key=key, name=name, email=email, teams=tuple(self.member_of.get(key, ())))
            for key, (name, email) in self.people.items()
            if key in used or used.intersection(self.member_of.get(key, ()))
        )

    def teams_among(self, used: set[str], company: str | None) -> tuple[OwnerItem, ...]:
        return tuple(
            OwnerItem(
                key=key,
                name=name,
                parent=None if key == company else company,
                level=Level.COMPANY if key == company else Level.TEAM,
            )
            for key, name in self.teams.items()
            if key in used
        )
