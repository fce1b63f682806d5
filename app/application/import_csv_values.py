"""What stands in a cell of a spreadsheet: numbers with units, days, periods, yes and no."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from app.application.import_csv_mapping import folded

DecimalMark = Literal[".", ","]
DayOrder = Literal["day-first", "month-first"]


class Unreadable(ValueError):
    """A cell says nothing that can be used; the message says what to change."""


def shown(text: str) -> str:
    """A cell as a message quotes it."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


# Numbers ----------------------------------------------------------------------------------

_CURRENCIES = "€$£¥₹₽₺₩"
_AMOUNT = re.compile(
    rf"""
    (?P<open>\()? \s* (?P<sign>[-+\u2212\u2013]?) \s*
    (?P<before>[A-Z]{{3}}|[A-Z]{{0,2}}[{_CURRENCIES}])? \s* (?P<inner>[-+\u2212\u2013]?)
    (?P<digits>\d{{1,3}}(?:[\s'\u2019]\d{{3}})+(?:[.,]\d+)?|\d(?:[\d.,]*\d)?|[.,]\d+)
    (?:[eE](?P<power>[-+]?\d{{1,2}}))? (?P<after>.*?) \s* (?P<close>\))?
    """,
    re.VERBOSE | re.DOTALL,
)
_TIMES = re.compile(rf"\s*(Mio\.?|Mrd\.?|bn|k|K|M|m)(?=\s|$|[{_CURRENCIES}])\s*")
_FACTORS = {"k": 10**3, "m": 10**6, "mio": 10**6, "mrd": 10**9, "bn": 10**9}
_NO_UNIT = {"of", "von", "to", "bis", "out", "and", "und", "or", "oder"}
_SAME_UNIT = {"€": "eur", "£": "gbp", "percent": "%", "percentage": "%", "prozent": "%", "pct": "%"}


@dataclass(frozen=True, slots=True)
class Amount:
    """A number as it was written: which mark is the decimal one is known from all of them."""

    text: str
    digits: str
    negative: bool
    power: int
    factor: int
    unit: str | None

    def value(self, mark: DecimalMark) -> Decimal:
        """Raises Unreadable where it does not fit the mark."""
        group = "," if mark == "." else "."
        whole, _, fraction = re.sub(r"[\s'\u2019]", "", self.digits).partition(mark)
        first, *more = whole.split(group)
        if mark in fraction or group in fraction or any(len(part) != 3 for part in more):
            raise Unreadable(
                f"{shown(self.text)} does not fit numbers whose decimal mark is {mark!r}: write "
                "all of them alike, or say `decimal` in the mapping"
            )
        if more and not 1 <= len(first) <= 3:
            raise Unreadable(f"{shown(self.text)} is no number: digits are grouped by three")
        value = Decimal(f"{''.join([first, *more]) or '0'}.{fraction or '0'}")
        value = value.scaleb(self.power) * self.factor
        return -value if self.negative else value

    @property
    def mark(self) -> DecimalMark | None:
        """The decimal mark, where the number itself shows it."""
        digits = re.sub(r"[\s'\u2019]", "", self.digits)
        is_grouped = digits != self.digits
        dot, comma = digits.count("."), digits.count(",")
        if dot and comma:
            return "." if digits.rindex(".") > digits.rindex(",") else ","
        if not dot and not comma:
            return None
        if dot + comma > 1:
            return "," if dot else "."
        head, tail = re.split("[.,]", digits)
        shows = is_grouped or len(tail) != 3 or len(head) > 3 or head in ("", "0")
        return ("." if dot else ",") if shows else None

    @property
    def is_ambiguous(self) -> bool:
        return self.mark is None and ("." in self.digits or "," in self.digits)


def amount(text: str) -> Amount:
    """A number, maybe with a unit: `1,234.5`, `70 %`, `€ 1.2M`, `40 customers`, `(3)`.

    Raises Unreadable.
    """
    refuse = Unreadable(f"{shown(text)} is no number: write digits, and after them a unit at most")
    found = _AMOUNT.fullmatch(text.strip()) if len(text) <= 300 else None
    if found is None or bool(found["open"]) != bool(found["close"]):
        raise refuse
    after, factor, before = found["after"], 1, found["before"]
    times = _TIMES.match(after)
    if times is not None:
        word = times[1].rstrip(".")
        rest = after[times.end() :]
        # A small m is metres, unless it is money.
        is_money = before is not None or rest.startswith(tuple(_CURRENCIES))
        is_factor = word != "m" or is_money
        if is_factor and (word.casefold() not in ("k", "m") or not after[:1].isspace()):
            factor, after = _FACTORS[word.casefold()], rest
    after = " ".join(after.split())
    if after and not (after[0].isalpha() or after[0] in "%‰°" + _CURRENCIES):
        raise refuse
    if after and (folded(after.split()[0]) in _NO_UNIT or (before and after)):
        raise refuse
    negative = bool(found["open"]) or (found["sign"] or found["inner"] or "+") != "+"
    power = int(found["power"] or 0)
    return Amount(text, found["digits"], negative, power, factor, after or before)


def same_unit(one: str, other: str) -> bool:
    one, other = folded(one), folded(other)
    return _SAME_UNIT.get(one, one) == _SAME_UNIT.get(other, other)


def unit_named(text: str) -> str:
    """A unit as it is kept: percent in any words is `%`."""
    return "%" if same_unit(text, "%") else text


# Yes and no -------------------------------------------------------------------------------

_YES = {"yes", "y", "true", "done", "x", "✓", "✔", "ja", "wahr", "erledigt", "erreicht"}
_YES |= {"oui", "vrai", "sí", "si"}
_NO = {"no", "n", "false", "not done", "open", "nein", "falsch", "offen", "non", "faux"}


def yes_or_no(text: str) -> bool | None:
    """None where it is neither."""
    word = folded(text)
    return True if word in _YES else False if word in _NO else None


# Days -------------------------------------------------------------------------------------

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar jänner",
            "feb february februar",
            "mar march mär märz mrz",
            "apr april",
            "may mai",
            "jun june juni",
            "jul july juli",
            "aug august",
            "sep sept september",
            "oct october okt oktober",
            "nov november",
            "dec december dez dezember",
        ),
        1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DAY = re.compile(
    rf"""
    (?P<iso>\d{{4}}[-/]\d{{1,2}}[-/]\d{{1,2}})
    | (?P<a>\d{{1,2}})(?P<sep>[./-])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}|\d{{2}})(?!\d)
    | (?P<d>\d{{1,2}})\.?\ (?P<m>{_MONTH})\.?\ (?P<y2>\d{{4}})
    | (?P<m2>{_MONTH})\.?\ (?P<d2>\d{{1,2}}),?\ (?P<y3>\d{{4}})
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TIME_OF_DAY = re.compile(
    r"(?:[T ,]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s?[AP]M)?(?:Z|[-+]\d\d:?\d\d)?)?",
    re.IGNORECASE,
)


def order_shown(texts: Iterable[str]) -> DayOrder | None:
    """Whether days or months come first, where some date shows it."""
    for text in texts:
        for found in _DAY.finditer(text):
            if found["sep"] in ("/", "-"):
                if int(found["a"]) > 12:
                    return "day-first"
                if int(found["b"]) > 12:
                    return "month-first"
    return None


def _date(found: re.Match[str], order: DayOrder | None) -> date:
    try:
        if found["iso"]:
            year, month, day = (int(part) for part in re.split("[-/]", found["iso"]))
            return date(year, month, day)
        if found["m"] or found["m2"]:
            month = _MONTHS[(found["m"] or found["m2"]).casefold()]
            return date(int(found["y2"] or found["y3"]), month, int(found["d"] or found["d2"]))
        first, second = int(found["a"]), int(found["b"])
        year = int(found["y"]) + (2000 if len(found["y"]) == 2 else 0)
        if found["sep"] == "." or order == "day-first" or first == second:
            return date(year, second, first)
        if order == "month-first":
            return date(year, first, second)
    except ValueError as impossible:
        raise Unreadable(f"{found[0]!r} is no day of the calendar") from impossible
    raise Unreadable(
        f"{found[0]!r} may be two days: write it as 2026-01-31, or say `dates` in the mapping "
        '("day-first" or "month-first")'
    )


def day(text: str, order: DayOrder | None) -> date:
    """A day; a time of day after it does not matter. Raises Unreadable."""
    found = _DAY.match(text)
    if found is None or _TIME_OF_DAY.fullmatch(text[found.end() :]) is None:
        raise Unreadable(f"{shown(text)} is no day: write it as 2026-01-31")
    return _date(found, order)


# Periods ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Period:
    """A cycle's name, first and last day. `fiscal`: of a year that need not begin in January."""

    name: str
    starts_on: date
    ends_on: date
    fiscal: bool = False


_FISCAL = re.compile(r"\b(?:fy|gj)\s?['\u2019]?(\d{4}|\d{2})(?!\d)")
_QUARTER = re.compile(
    r"(?<![a-z])q(?:uarter|uartal)?\s?([1-4])(?!\d)|\b([1-4])\.?\s?q(?:uarter|uartal)?\b"
)
_HALF = re.compile(r"(?<![a-z])h\s?([12])(?!\d)|\b([12])\.?\s?(?:halbjahr|half|h)\b")
_YEAR = re.compile(r"(?<!\d)(20\d{2})(?!\d)|['\u2019](\d{2})(?!\d)")
_MONTH_NAME = re.compile(rf"\b({_MONTH})\b\.?")
_BETWEEN = re.compile(r"[\s\-\u2013\u2014/.,()_|]*")
_FROM_TO = re.compile(r"\s*(?:-|\u2013|\u2014|/|\.\.\.?|to|bis|until|through|à)\s*", re.IGNORECASE)


def between(first: date, last: date) -> Period:
    """A period from its days, named by the quarter, half or year that it is."""
    if last < first:
        raise Unreadable(f"a period cannot end on {last}, before it begins on {first}")
    for months, letter in ((3, "Q"), (6, "H"), (12, "")):
        number, rest = divmod(first.month - 1, months)
        if rest == 0 and first.day == 1 and last == _last_day(first, months):
            name = f"{first.year} {letter}{number + 1}" if letter else str(first.year)
            return Period(name, first, last)
    return Period(f"{first} to {last}", first, last)


def period(text: str, order: DayOrder | None, fiscal_year_starts: int = 1) -> Period:
    """`Q1 2026`, `2026-Q1`, `FY26 Q1`, `H1 2026`, `2026`, `January 2026`, or two days.

    Raises Unreadable.
    """
    days = list(_DAY.finditer(text))
    if len(days) == 2:
        first, last = days
        around = f"{text[: first.start()]}{text[last.end() :]}"
        if not around.strip() and _FROM_TO.fullmatch(text[first.end() : last.start()]):
            return between(_date(first, order), _date(last, order))
    word = " ".join(text.replace("_", " ").split()).casefold()
    taken: dict[str, str] = {}
    for name, pattern in (
        ("fiscal", _FISCAL),
        ("quarter", _QUARTER),
        ("half", _HALF),
        ("year", _YEAR),
        ("month", _MONTH_NAME),
    ):
        found = pattern.search(word)
        if found is not None:
            taken[name] = next(group for group in found.groups() if group)
            word = f"{word[: found.start()]} {word[found.end() :]}"
    short = re.fullmatch(r"[\s\-\u2013/.,]*(\d{2})[\s\-\u2013/.,]*", word)
    if short is not None and not {"year", "fiscal"} & taken.keys() and "quarter" in taken:
        taken["year"], word = short[1], ""
    parts = taken.keys() & {"quarter", "half", "month"}
    years = taken.keys() & {"fiscal", "year"}
    if _BETWEEN.fullmatch(word) is None or len(years) != 1 or len(parts) > 1:
        raise Unreadable(
            f"{shown(text)} is no period: write 2026 Q1, FY26 Q1, H1 2026, 2026, or two days "
            "(2026-01-01 to 2026-03-31), or explain it under [periods] in the mapping"
        )
    year = int(taken.get("fiscal") or taken["year"])
    year += 2000 if year < 100 else 0
    if "month" in taken:
        if "fiscal" in taken:
            raise Unreadable(
                f"{shown(text)} is a month of a fiscal year: write its year, or two days"
            )
        month = _MONTHS[taken["month"]]
        begins_on = date(year, month, 1)
        return Period(f"{year}-{month:02}", begins_on, _last_day(begins_on, 1))
    months = 3 if "quarter" in taken else 6 if "half" in taken else 12
    number = int(taken.get("quarter") or taken.get("half") or 1)
    if "fiscal" not in taken:
        begins_on = date(year, 1 + months * (number - 1), 1)
        return between(begins_on, _last_day(begins_on, months))
    begins = year - (fiscal_year_starts > 1)
    at = begins * 12 + fiscal_year_starts - 1 + months * (number - 1)
    begins_on = date(at // 12, at % 12 + 1, 1)
    part = "" if months == 12 else f" {'Q' if months == 3 else 'H'}{number}"
    return Period(f"FY{year % 100:02}{part}", begins_on, _last_day(begins_on, months), fiscal=True)


def _last_day(first: date, months: int) -> date:
    at = first.year * 12 + first.month - 1 + months - 1
    year, month = at // 12, at % 12 + 1
    return date(year, month, monthrange(year, month)[1])
