"""A whole year in three organisations; every figure of its reports, found again by plain counting.

The fold below knows nothing of the program's own: it reads the events as an auditor is given them,
and counts with fractions.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from fractions import Fraction
from itertools import pairwise
from typing import Any

import asyncpg
import httpx
import pytest
from uuid_utils.compat import uuid7

from app.application import keys
from examples.year import QUARTERS, SYSTEMS, Year, walk
from tests.conftest import Server, clone
from tests.server import serving

Json = dict[str, Any]


@dataclass
class KeyResult:
    objective: str
    cycle: str
    weight: Fraction
    measure: Json
    committed: Json | None = None
    said: dict[str, Json] = field(default_factory=dict)
    computed: Fraction | None = None
    score: Fraction | None = None


@dataclass
class Fold:
    """What the events of one organisation say."""

    cycles: dict[str, Json] = field(default_factory=dict)
    rules: dict[str, Json] = field(default_factory=dict)
    objectives: dict[str, Json] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    aligned: set[str] = field(default_factory=set)
    key_results: dict[str, KeyResult] = field(default_factory=dict)
    reflected: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    answers: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    company: set[str] = field(default_factory=set)

    def take(self, event: Json) -> None:
        data, kind = event["data"], event["type"]
        match kind:
            case "team.formed":
                if data["level"] == "company":
                    self.company.add(data["team_id"])
            case "cycle.planned":
                self.cycles[data["cycle_id"]] = data
            case "cycle.opened":
                self.rules[data["cycle_id"]] = data["scoring"]
            case "objective.drafted":
                self.objectives[data["objective_id"]] = data
            case "objective.committed":
                self.committed.add(data["objective_id"])
            case "alignment.agreed":
                self.aligned.add(data["objective_id"])
            case "key_result.drafted":
                self.key_results[data["key_result_id"]] = KeyResult(
                    data["objective_id"],
                    data["cycle_id"],
                    Fraction(str(data["terms"]["weight"])),
                    data["terms"]["measure"],
                )
            case "key_result.amended":
                one = self.key_results[data["key_result_id"]]
                one.committed = one.committed or one.measure
                one.measure = data["terms"]["measure"]
            case "check_in.recorded" | "check_in.corrected":
                said = self.key_results[data["key_result_id"]].said
                said[data["check_in_id"]] = {"at": data["occurred_at"], **data["terms"]}
            case "check_in.retracted":
                del self.key_results[data["key_result_id"]].said[data["check_in_id"]]
            case "key_result.scored":
                one = self.key_results[data["key_result_id"]]
                one.computed = Fraction(str(data["computed"]))
                one.score = Fraction(str(data["score"]))
            case "reflection.recorded":
                self.reflected[data["cycle_id"]].add(data["team_id"])
            case "survey.answered":
                self.answers[data["cycle_id"]].append(data["answers"])

    def score(self, one: KeyResult, measure: Json) -> Fraction:
        """The score of a key result when its cycle had ended."""
        rules = self.rules[one.cycle]
        ends = date.fromisoformat(self.cycles[one.cycle]["ends_on"])
        end = datetime.combine(ends, time.max, UTC)
        told = sorted(
            (datetime.fromisoformat(said["at"]), said["value"])
            for said in one.said.values()
            if said.get("value") is not None
        )
        reached = _progress(measure, told, end)
        match rules["system"]:
            case "measure_what_matters":
                return round(reached, 4)
            case "radical_focus":
                return Fraction(int(round(reached, 4) == 1))
        anchors = {name: Fraction(str(rules[name])) for name in ("commit", "target", "stretch")}
        if measure["kind"] == "milestone" and "levels" in measure:
            return {"none": Fraction(0), **anchors}[told[-1][1]]
        if measure["kind"] != "metric":
            return round(reached, 4)
        way = [(Fraction(str(measure["baseline"])), Fraction(0))]
        way += [(Fraction(str(measure[name])), anchors[name]) for name in anchors]
        return round(_between(way, Fraction(str(told[-1][1]))), 4)

    def roll_up(self, parts: list[KeyResult]) -> Fraction:
        total = sum(part.weight for part in parts)
        weighted = sum(part.weight * part.score for part in parts if part.score is not None)
        return round(Fraction(weighted) / total, 4)


def _progress(measure: Json, told: list[tuple[datetime, Any]], end: datetime) -> Fraction:
    last = told[-1][1]
    match measure["kind"]:
        case "metric":
            low, high = Fraction(str(measure["baseline"])), Fraction(str(measure["target"]))
            return min(max((Fraction(str(last)) - low) / (high - low), Fraction(0)), Fraction(1))
        case "threshold":
            until = [at for at, _ in told[1:]] + [end]
            spans = [
                (after - at).total_seconds() for (at, _), after in zip(told, until, strict=True)
            ]
            held = [s for s, (_, v) in zip(spans, told, strict=True) if v >= measure["limit"]]
            return Fraction(sum(map(Fraction, held))) / sum(map(Fraction, spans))
        case "baseline":
            return Fraction(1)
    if "levels" in measure:
        rank = ["none", "commit", "target", "stretch"].index(last)
        return round(Fraction(rank, 3), 4)
    return Fraction(int(last))


def _between(way: list[tuple[Fraction, Fraction]], reading: Fraction) -> Fraction:
    """Along the pieces from anchor to anchor, whichever way they run."""
    sign = 1 if way[-1][0] > way[0][0] else -1
    at = reading * sign
    points = [(value * sign, score) for value, score in way]
    if at <= points[0][0]:
        return Fraction(0)
    for (low, low_score), (high, high_score) in pairwise(points):
        if at <= high:
            return low_score + (at - low) / (high - low) * (high_score - low_score)
    return points[-1][1]


# The year ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    client: httpx.AsyncClient
    year: Year
    fold: Fold

    async def get(self, path: str) -> Json:
        answer = await self.client.get(
            f"/v1/organizations{self.year.org}{path}",
            headers={"Authorization": f"Bearer {self.year.key}"},
        )
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found


@pytest.fixture(scope="module")
async def years(cluster: Server) -> AsyncIterator[dict[str, Seen]]:
    database = await clone(cluster, f"okr_year_{uuid7().hex[-8:]}")
    owner = await asyncpg.connect(database.owner_url)
    key = await keys.make_operator(owner, uuid7())
    await owner.close()
    with serving(database.url) as base:
        walked = await asyncio.to_thread(walk, base, key)
        async with httpx.AsyncClient(base_url=base, timeout=60) as client:
            seen = {}
            for system, year in walked.items():
                one = Seen(client, year, Fold())
                query = "/events?page_size=500"
                while True:
                    page = await one.get(query)
                    for event in page["items"]:
                        one.fold.take(event)
                    if page["next_page_token"] is None:
                        break
                    query = f"/events?page_size=500&page_token={page['next_page_token']}"
                seen[system] = one
            yield seen


@pytest.mark.parametrize("system", SYSTEMS)
async def test_every_score_is_what_plain_counting_gives(
    years: dict[str, Seen], system: str
) -> None:
    seen = years[system]
    scored = {id: one for id, one in seen.fold.key_results.items() if one.score is not None}
    assert len(scored) == 4 * 6
    amended = 0
    for id, one in scored.items():
        assert one.computed == seen.fold.score(one, one.measure), (one.measure, one.said)
        told = await seen.get(f"/key-results/{id}/explain")
        assert Fraction(str(told["computed"])) == one.computed
        assert Fraction(str(told["final"])) == one.score
        if one.committed is not None:
            amended += 1
            as_committed = seen.fold.score(one, one.committed)
            assert Fraction(str(told["as_committed"])) == as_committed
    assert amended == 1


@pytest.mark.parametrize("system", SYSTEMS)
async def test_every_roll_up_is_what_plain_counting_gives(
    years: dict[str, Seen], system: str
) -> None:
    seen = years[system]
    for cycle in seen.year.cycles[1:]:
        tree = await seen.get(f"/cycles/{cycle}/tree")
        mine = [one for one in seen.fold.key_results.values() if one.cycle == cycle]
        assert Fraction(str(tree["summary"]["score"])) == seen.fold.roll_up(mine)
        assert tree["summary"]["scored"] == len(mine) == 6
        for root in tree["roots"]:
            parts = [one for one in mine if one.objective == root["id"]]
            assert Fraction(str(root["score"])) == seen.fold.roll_up(parts)


@pytest.mark.parametrize("system", SYSTEMS)
async def test_every_report_is_what_plain_counting_gives(
    years: dict[str, Seen], system: str
) -> None:
    seen, fold = years[system], years[system].fold
    for cycle in seen.year.cycles[1:]:
        report = await seen.get(f"/cycles/{cycle}/health")
        modes = {
            one["id"]: (one["numerator"], one["denominator"]) for one in report["failure_modes"]
        }
        mine = {
            id: one
            for id, one in fold.objectives.items()
            if one["cycle_id"] == cycle and id in fold.committed
        }
        scores = [one.score for one in fold.key_results.values() if one.cycle == cycle]
        owners = {one["owner"]["id"] for one in mine.values()}
        given = [one for one in mine.values() if one["terms"]["origin"] == "top_down"]
        assert modes["unaligned"] == (len(set(mine) - fold.aligned), len(mine))
        assert modes["top_down"] == (len(given), len(mine))
        assert modes["no_reflection"] == (len(owners - fold.reflected[cycle]), len(owners))
        assert modes["no_leadership_okrs"] == (1, len(fold.company))
        assert modes["always_full"] == (sum(score == 1 for score in scores), len(scores))
        assert modes["set_and_forget"] == (0, len(scores))
        assert modes["too_many"] == (0, len(owners))

        good = Fraction(str(fold.rules[cycle]["good"]))
        errors = []
        for one in fold.key_results.values():
            if one.cycle == cycle and one.score is not None:
                last = max(one.said.values(), key=lambda said: said["at"])
                errors.append((Fraction(str(last["confidence"])) - int(one.score >= good)) ** 2)
        brier = round(sum(errors, Fraction(0)) / len(errors), 4)
        assert Fraction(str(report["calibration"]["brier"])) == brier

        survey = await seen.get(f"/cycles/{cycle}/survey")
        answers = fold.answers[cycle]
        assert survey["answers"] == len(answers) == 3
        for name, average in survey["averages"].items():
            assert average == pytest.approx(sum(one[name] for one in answers) / 3, abs=0.005)


@pytest.mark.parametrize("system", SYSTEMS)
async def test_the_programme_was_ready_and_its_history_is_whole(
    years: dict[str, Seen], system: str
) -> None:
    seen = years[system]
    readiness = await seen.get("/readiness")
    assert readiness["ready"] is True
    assert (await seen.get("/deployment"))["missing"] == []
    assert len(seen.year.cycles) == 1 + len(QUARTERS)
    verdict = await seen.get("/ledger:verify")
    assert verdict["identical"], verdict["differences"]


async def test_a_goal_is_followed_through_all_four_quarters(years: dict[str, Seen]) -> None:
    seen = years["measure_what_matters"]
    last = seen.year.cycles[-1]
    objectives = (await seen.get(f"/objectives?cycle_id={last}"))["items"]
    chain, here = [], objectives[0]["id"]
    while here is not None:
        chain.append(here)
        here = (await seen.get(f"/objectives/{here}"))["previous_id"]
    assert len(chain) == 4


async def test_the_year_under_another_system_is_what_plain_counting_gives(
    years: dict[str, Seen],
) -> None:
    seen = years["measure_what_matters"]
    cycle = seen.year.cycles[1]
    answer = await seen.client.post(
        f"/v1/organizations{seen.year.org}/cycles/{cycle}:what-if",
        json={"rules": {"question": "scoring", "system": "radical_focus"}},
        headers={"Authorization": f"Bearer {seen.year.key}"},
    )
    seen_otherwise = {part["key_result_id"]: part for part in answer.json()["key_results"]}
    met = {
        id: int(round(seen.fold.score(one, one.measure), 4) == 1)
        for id, one in seen.fold.key_results.items()
        if one.cycle == cycle
    }
    assert {id: part["what_if"] for id, part in seen_otherwise.items()} == met
