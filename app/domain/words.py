"""Words that give a weak goal away, per language: data for the quality checks, no judgement.

An organisation adds its own by its quality decision. A language is one more entry in `LANGUAGES`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Language(StrEnum):
    ENGLISH = "en"
    GERMAN = "de"


class WordList(StrEnum):
    """What an organisation can add to.

    `deliverables` and `activities` are verbs at the beginning of a title (in German also at its
    end), `activity_phrases` stand anywhere, `measures` name a figure, and a title that begins with
    one of `harmless` ("Run rate") is left alone.
    """

    DELIVERABLES = "deliverables"
    ACTIVITIES = "activities"
    ACTIVITY_PHRASES = "activity_phrases"
    MEASURES = "measures"
    HARMLESS = "harmless"


@dataclass(frozen=True, slots=True)
class Words:
    """The lists of one language; `fillers` may stand before the verb."""

    deliverables: frozenset[str]
    activities: frozenset[str]
    activity_phrases: frozenset[str]
    measures: frozenset[str]
    harmless: frozenset[str]
    fillers: frozenset[str]
    verb_last: bool = False

    def with_more(self, more: Mapping[WordList, Iterable[str]]) -> Words:
        """These, and an organisation's own."""
        added = {
            name.value: getattr(self, name.value) | {plain(word) for word in words}
            for name, words in more.items()
        }
        return replace(self, **added)

    def verb_of(self, title: str, verbs: frozenset[str]) -> str | None:
        """The verb of a list that a title begins with (in some languages, ends with)."""
        text = plain(title)
        if any(starts_with(text, phrase) for phrase in self.harmless):
            return None
        tokens = text.split()
        while tokens and tokens[0] in self.fillers:
            del tokens[0]
        text = " ".join(tokens)
        for verb in sorted(verbs):
            if starts_with(text, verb) or (self.verb_last and f" {text}".endswith(f" {verb}")):
                return verb
        return None

    def phrase_of(self, title: str, phrases: frozenset[str]) -> str | None:
        """The phrase of a list that stands somewhere in a title."""
        text = f" {plain(title)} "
        return next((phrase for phrase in sorted(phrases) if f" {phrase} " in text), None)


def plain(text: str) -> str:
    """Lower case, without punctuation, one space between words: what is compared."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+(?:['\u2019-]\w+)*", folded))


def starts_with(text: str, phrase: str) -> bool:
    """Whether a plain text begins with these whole words."""
    return bool(phrase) and f"{text} ".startswith(f"{phrase} ")


def _list(text: str) -> frozenset[str]:
    return frozenset(plain(word) for word in text.split(",") if plain(word))


_ENGLISH = Words(
    deliverables=_list(
        "launch, build, implement, deliver, ship, create, migrate, develop, release, roll out, "
        "rollout, deploy, install, introduce, set up, write, design, redesign, refactor, rewrite, "
        "complete, finish, produce, prepare, draft, document, upgrade, integrate, replace, "
        "add, configure, automate, conduct, organise, organize, hire, publish"
    ),
    activities=_list(
        "hold, run, conduct, attend, organise, organize, host, schedule, arrange, publish, post, "
        "tweet, write, send, call, visit, interview, present, discuss, review, analyse, "
        "analyze, research, investigate, explore, work on, help, support, participate, "
        "take part, do, perform, continue, coordinate, communicate"
    ),
    activity_phrases=_list(
        "meetings held, workshops held, workshops, trainings held, calls made, calls held, "
        "interviews held, interviews conducted, visits made, emails sent, mails sent, "
        "newsletters sent, posts published, posts written, articles published, articles written, "
        "events held, events attended, sessions held, reports written, tickets worked on, "
        "demos given, presentations given"
    ),
    measures=_list(
        "percent, percentage, per cent, nps, arr, mrr, roi, ebitda, kpi, usd, eur, gbp, "
        "dollar, dollars, euro, euros, double, triple, twofold, tenfold"
    ),
    harmless=_list(
        "run rate, run time, run times, hold time, hold times, call volume, call time, "
        "build time, build times, build failures, release time, launch time, hire rate, "
        "support requests, support tickets, support cases, support time, support costs, "
        "review time, review times, review score, review rating, post office, design system, "
        "research output, complete orders, present value, visit frequency, visit length, "
        "interview rate, deliver on, deliver time, send rate, help desk, help requests, "
        "support operations, support team, write errors"
    ),
    fillers=_list("to, we, will, shall, must, and, then, please, successfully, finally"),
)

_GERMAN = Words(
    deliverables=_list(
        "launchen, bauen, aufbauen, implementieren, umsetzen, liefern, ausliefern, erstellen, "
        "migrieren, entwickeln, veröffentlichen, einführen, ausrollen, installieren, einrichten, "
        "schreiben, entwerfen, gestalten, neu gestalten, refaktorieren, fertigstellen, "
        "abschließen, vorbereiten, dokumentieren, aktualisieren, integrieren, ersetzen, "
        "automatisieren, anlegen, programmieren, einstellen"
    ),
    activities=_list(
        "abhalten, durchführen, halten, teilnehmen, besuchen, organisieren, veranstalten, "
        "planen, veröffentlichen, schreiben, versenden, verschicken, senden, anrufen, "
        "telefonieren, treffen, präsentieren, besprechen, diskutieren, prüfen, analysieren, "
        "recherchieren, untersuchen, arbeiten an, unterstützen, mithelfen, mitwirken, "
        "koordinieren, kommunizieren"
    ),
    activity_phrases=_list(
        "abgehaltene meetings, meetings abgehalten, abgehaltene workshops, workshops, "
        "durchgeführte workshops, durchgeführte schulungen, schulungen durchgeführt, "
        "geführte gespräche, gespräche geführt, geführte interviews, interviews geführt, "
        "getätigte anrufe, anrufe getätigt, versendete mails, versendete newsletter, "
        "newsletter versendet, veröffentlichte beiträge, beiträge veröffentlicht, "
        "besuchte veranstaltungen, gehaltene vorträge"
    ),
    measures=_list(
        "prozent, prozentsatz, nps, arr, mrr, roi, ebitda, kpi, usd, eur, chf, "
        "euro, dollar, franken, verdoppeln, verdreifachen"
    ),
    harmless=_list("halten sich, halten uns, planen mit uns"),
    fillers=_list("zu, wir, werden, wollen, müssen, und, dann, bitte, erfolgreich, endlich"),
    # "Ein neues Portal einführen": an infinitive stands at the end.
    verb_last=True,
)

LANGUAGES: dict[Language, Words] = {Language.ENGLISH: _ENGLISH, Language.GERMAN: _GERMAN}
