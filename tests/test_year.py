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
from tests.plain_folds import Kpis, Needs
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
    looked_back: set[str] = field(default_factory=set)
    reflected: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    teams: set[str] = field(default_factory=set)
    covered: dict[str, set[str]] = field(default_factory=dict)
    expires: dict[str, str] = field(default_factory=dict)
    limits: Json = field(default_factory=dict)
    answers: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    company: set[str] = field(default_factory=set)

    def take(self, event: Json) -> None:
        data, kind = event["data"], event["type"]
        match kind:
            case "team.formed":
                levels = {"company": self.company, "team": self.teams}
                levels[data["level"]].add(data["team_id"])
            case "coach.certified":
                self.expires[data["person_id"]] = data["expires_on"]
            case "coach.teams_covered":
                self.covered[data["person_id"]] = set(data["teams"])
            case "decision.made":
                if data["decision"]["question"] == "limits":
                    self.limits = data["decision"]
            case "cycle.reflection_begun":
                self.looked_back.add(data["cycle_id"])
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

    def parts(self, cycle: str) -> dict[str, KeyResult]:
        return {id: one for id, one in self.key_results.items() if one.cycle == cycle}

    def modes(self, cycle: str) -> dict[str, tuple[int, int]]:
        """How often each way to fail was met with in a cycle, and out of how many.

        All was told of a year that was over: silence was never long, and nothing trends.
        """
        mine = {id: one for id, one in self.objectives.items() if one["cycle_id"] == cycle}
        meant = {id: one for id, one in mine.items() if id in self.committed}
        below = {id for id, one in meant.items() if one["owner"]["id"] not in self.company}
        held = [one["owner"]["id"] for one in mine.values()]
        looking = {one["owner"]["id"] for one in meant.values() if cycle in self.looked_back}
        given = [id for id in below if meant[id]["terms"]["origin"] == "top_down"]
        parts = [one for one in self.parts(cycle).values() if one.objective in meant]
        scores = [one.score for one in parts if one.score is not None]
        leading = {one["owner"]["id"] for one in meant.values()}
        many = [owner for owner in set(held) if held.count(owner) > self.limits["max_objectives"]]
        return {
            "set_and_forget": (0, len(parts)),
            "too_many": (len(many), len(set(held))),
            "unaligned": (len(below - self.aligned), len(below)),
            "top_down": (len(given), len(below)),
            "no_reflection": (len(looking - self.reflected[cycle]), len(looking)),
            "no_leadership_okrs": (len(self.company - leading), len(self.company)),
            "always_full": (scores.count(Fraction(1)), len(scores)),
            "said_on_track": (0, 0),
        }

    def uncoached(self, today: date) -> tuple[int, int]:
        holds = [id for id, last in self.expires.items() if date.fromisoformat(last) >= today]
        covered = {team for id in holds for team in self.covered.get(id, ())}
        return len(self.teams - covered), len(self.teams)

    def forecasts(self, cycle: str) -> list[tuple[Fraction, bool]]:
        """The last confidence in each key result, and whether it was scored as good."""
        good = Fraction(str(self.rules[cycle]["good"]))
        found = []
        for one in self.parts(cycle).values():
            stated = [said for said in one.said.values() if "confidence" in said]
            if one.score is not None:
                last = max(stated, key=lambda said: said["at"])
                found.append((Fraction(str(last["confidence"])), one.score >= good))
        return found

    def claims(self, cycle: str) -> list[tuple[str, Fraction, bool]]:
        """Level, probability, and whether it came true by the terms at commitment."""
        rules, found = self.rules[cycle], []
        for one in self.parts(cycle).values():
            if one.score is None:
                continue
            measure = one.committed or one.measure
            if rules["system"] == "radical_focus":
                met = self.score(one, measure) == 1
                found.append(("target", Fraction(str(rules["starting_confidence"])), met))
            if rules["system"] != "stretch_target_commit":
                continue
            readings = [said for said in one.said.values() if said.get("value") is not None]
            last = max(readings, key=lambda said: said["at"])["value"]
            for level in ("commit", "target", "stretch"):
                if "levels" in measure:
                    order = ["none", "commit", "target", "stretch"]
                    met = order.index(last) >= order.index(level)
                elif "stretch" in measure:
                    rises = measure["target"] > measure["baseline"]
                    met = last >= measure[level] if rises else last <= measure[level]
                else:
                    continue
                found.append((level, Fraction(str(rules[f"{level}_probability"])), met))
        return found

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


def _brier(forecasts: list[tuple[Fraction, bool]]) -> Fraction | None:
    errors = [(probability - int(met)) ** 2 for probability, met in forecasts]
    return round(sum(errors, Fraction(0)) / len(errors), 4) if errors else None


def _share(count: int, of: int) -> Fraction | None:
    return round(Fraction(count, of), 4) if of else None


def _exact(figure: float | None) -> Fraction | None:
    return None if figure is None else Fraction(str(figure))


def _assert_claims(told: Json, made: list[tuple[str, Fraction, bool]]) -> None:
    """The calibration of claims, level by level."""
    assert told["claims"] == len(made)
    assert _exact(told["brier"]) == _brier([(claimed, met) for _, claimed, met in made])
    expected = []
    for level in ("commit", "target", "stretch"):
        mine = [(claimed, met) for name, claimed, met in made if name == level]
        if mine:
            reached = sum(met for _, met in mine)
            figures = (_share(reached, len(mine)), _brier(mine), mine[0][0])
            expected.append((level, reached, len(mine), *figures))
    assert expected == [
        (
            one["level"],
            one["reached"],
            one["claims"],
            _exact(one["share"]),
            _exact(one["brier"]),
            _exact(one["claimed"]),
        )
        for one in told["levels"]
    ]
    assert [one["reached"] for one in told["levels"]] == [
        len(one["items"]) for one in told["levels"]
    ]


# The year ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    client: httpx.AsyncClient
    year: Year
    fold: Fold
    needs: Needs = field(default_factory=Needs)
    kpis: Kpis = field(default_factory=Kpis)

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
                        for fold in (one.fold, one.needs, one.kpis):
                            fold.take(event)
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
    # In one quarter a KPI is a key result, too.
    assert len(scored) == 4 * 6 + 1
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
        assert tree["summary"]["scored"] == len(mine) == 6 + (cycle == seen.year.cycles[2])
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
        today = datetime.fromisoformat((await seen.get("/ledger"))["at"]).date()
        assert modes == {**fold.modes(cycle), "no_coach": fold.uncoached(today)}
        forecasts = fold.forecasts(cycle)
        assert len(forecasts) == 6 + (cycle == seen.year.cycles[2])
        assert _exact(report["calibration"]["brier"]) == _brier(forecasts)
        _assert_claims(report["claims"], fold.claims(cycle))

        survey = await seen.get(f"/cycles/{cycle}/survey")
        answers = fold.answers[cycle]
        assert survey["answers"] == len(answers) == 3
        for name, average in survey["averages"].items():
            assert average == pytest.approx(sum(one[name] for one in answers) / 3, abs=0.005)


@pytest.mark.parametrize(
    ("system", "claimed"),
    [
        ("measure_what_matters", 0),
        ("stretch_target_commit", (4 * 3 + 1) * 3),
        ("radical_focus", 4 * 6 + 1),
    ],
)
async def test_the_report_over_all_cycles_is_what_plain_counting_gives(
    years: dict[str, Seen], system: str, claimed: int
) -> None:
    seen, fold = years[system], years[system].fold
    report = await seen.get("/health")
    # The year holds the quarters, and comes first.
    assert [one["cycle_id"] for one in report["cycles"]] == seen.year.cycles
    assert report["cycles_left_off"] == 0
    sums: dict[str, tuple[int, int]] = {}
    for row in report["cycles"]:
        counted = fold.modes(row["cycle_id"])
        assert {
            id: (one["numerator"], one["denominator"], _exact(one["share"]))
            for id, one in row["failure_modes"].items()
        } == {id: (*one, _share(*one)) for id, one in counted.items()}
        for id, (count, of) in counted.items():
            before = sums.get(id, (0, 0))
            sums[id] = (before[0] + count, before[1] + of)
        parts = [one for one in fold.parts(row["cycle_id"]).values() if one.score is not None]
        assert _exact(row["score"]) == (fold.roll_up(parts) if parts else None)
        assert _exact(row["brier"]) == _brier(fold.forecasts(row["cycle_id"]))
        made = fold.claims(row["cycle_id"])
        assert _exact(row["claims_brier"]) == _brier([(share, met) for _, share, met in made])
        # One of the two teams' goals came from above.
        given, below = counted["top_down"]
        assert _exact(row["bottom_up_share"]) == _share(below - given, below)
        assert row["bottom_up_target"] == 0.6
    today = datetime.fromisoformat((await seen.get("/ledger"))["at"]).date()
    sums["no_coach"] = fold.uncoached(today)
    assert {
        one["id"]: (one["numerator"], one["denominator"], _exact(one["share"]))
        for one in report["failure_modes"]
    } == {id: (*one, _share(*one)) for id, one in sums.items()}
    for one in report["failure_modes"]:
        assert len(one["items"]) + one["left_off"] == one["numerator"]
    given, below = sums["top_down"]
    assert _exact(report["bottom_up_share"]) == _share(below - given, below)

    forecasts = [one for cycle in seen.year.cycles for one in fold.forecasts(cycle)]
    assert report["calibration"]["forecasts"] == len(forecasts) == 4 * 6 + 1
    assert _exact(report["calibration"]["brier"]) == _brier(forecasts)
    made = [one for cycle in seen.year.cycles for one in fold.claims(cycle)]
    assert len(made) == claimed
    _assert_claims(report["claims"], made)


@pytest.mark.parametrize("system", SYSTEMS)
async def test_every_progress_that_is_shown_is_what_plain_counting_gives(
    years: dict[str, Seen], system: str
) -> None:
    seen = years[system]
    late = 0
    for id, one in seen.fold.key_results.items():
        if one.score is None:
            continue
        told = sorted(
            (datetime.fromisoformat(said["at"]), said["value"])
            for said in one.said.values()
            if said.get("value") is not None
        )
        shown = await seen.get(f"/key-results/{id}")
        at, last = told[-1]
        assert _exact(shown["progress"]) == round(_progress(one.measure, told, at), 4)
        assert shown["value"] == last
        late += len(told) == 7
    assert late == 1, "one reading was found in the logs, later than the next one was told"


# Over time --------------------------------------------------------------------------------


def _course(one: KeyResult, until: datetime | None = None) -> list[tuple[datetime, Any, Fraction]]:
    """Moment, reading, and the progress by all readings up to it, of what counts."""
    told = sorted(
        (datetime.fromisoformat(said["at"]), said["value"])
        for said in one.said.values()
        if said.get("value") is not None
    )
    return [
        (at, value, round(_reached(one.measure, told[: number + 1]), 4))
        for number, (at, value) in enumerate(told)
        if until is None or at <= until
    ]


def _reached(measure: Json, told: list[tuple[datetime, Any]]) -> Fraction:
    if measure["kind"] == "threshold" and told[0][0] == told[-1][0]:
        return Fraction(sum(value >= measure["limit"] for _, value in told), len(told))
    return _progress(measure, told, told[-1][0])


def _mean(parts: dict[str, tuple[Fraction, Fraction]]) -> Fraction:
    """Of figures and weights."""
    total = sum((weight for _, weight in parts.values()), Fraction(0))
    return round(sum((f * weight for f, weight in parts.values()), Fraction(0)) / total, 4)


@pytest.mark.parametrize("system", SYSTEMS)
async def test_every_point_of_every_series_is_what_plain_counting_gives(
    years: dict[str, Seen], system: str
) -> None:
    seen = years[system]
    steps: dict[str, list[tuple[datetime, str, Fraction]]] = defaultdict(list)
    for id, one in seen.fold.key_results.items():
        shown = await seen.get(f"/key-results/{id}/series")
        assert [
            (datetime.fromisoformat(point["at"]), point["value"], _exact(point["progress"]))
            for point in shown["points"]
            if point["value"] is not None
        ] == _course(one)
        assert {point["check_in_id"] for point in shown["points"]} == set(one.said)
        assert (shown["points_found"], shown["sampled"]) == (len(one.said), False)
        for point in shown["points"]:
            said = one.said[point["check_in_id"]]
            assert [point[name] for name in ("confidence", "health")] == [
                said.get(name) for name in ("confidence", "health")
            ]
        if one.measure["kind"] == "metric":
            starts, ends = (seen.fold.cycles[one.cycle][name] for name in ("starts_on", "ends_on"))
            assert [
                (point["at"][:10], point["value"], point["progress"]) for point in shown["ideal"]
            ] == [(starts, one.measure["baseline"], 0), (ends, one.measure["target"], 1)]
        steps[one.objective] += [(at, id, reached) for at, _, reached in _course(one)]

    for objective, taken in steps.items():
        shown = await seen.get(f"/objectives/{objective}/series")
        # Of one moment, the order is that of recording.
        moments = sorted({at for at, _, _ in taken})
        last = {datetime.fromisoformat(point["at"]): point for point in shown["points"]}
        parts = [one for one in seen.fold.key_results.values() if one.objective == objective]
        assert shown["points_found"] == sum(len(one.said) for one in parts)
        stood: dict[str, tuple[Fraction, Fraction]] = {}
        for moment in moments:
            for at, id, reached in taken:
                if at == moment:
                    stood[id] = (reached, seen.fold.key_results[id].weight)
            assert _exact(last[moment]["progress"]) == _mean(stood)


@pytest.mark.parametrize("system", SYSTEMS)
async def test_what_was_true_in_the_middle_of_a_quarter_is_what_plain_counting_gives(
    years: dict[str, Seen], system: str
) -> None:
    seen = years[system]
    cycle = seen.year.cycles[2]
    for moment in ("2025-05-01T00:00:00+00:00", "2025-06-10T12:00:00+00:00"):
        until = datetime.fromisoformat(moment)
        then = await seen.get(f"/cycles/{cycle}/tree?effective_at={moment[:19]}Z")
        shown = {part["id"]: part for root in then["roots"] for part in root["key_results"]}
        mine = seen.fold.parts(cycle)
        assert set(shown) == set(mine)
        stood = {}
        for id, one in mine.items():
            course = _course(one, until)
            assert _exact(shown[id]["progress"]) == (course[-1][2] if course else None)
            assert shown[id]["value"] == (course[-1][1] if course else None)
            assert shown[id]["score"] is None
            if course:
                stood[id] = (course[-1][2], one.weight)
            listed = await seen.get(
                f"/key-results/{id}/check-ins?effective_at={moment[:19]}Z&page_size=500"
            )
            assert {one["id"] for one in listed["items"]} == {
                id for id, said in one.said.items() if datetime.fromisoformat(said["at"]) <= until
            }
        assert _exact(then["summary"]["progress"]) == _mean(stood)


# KPIs and dependencies --------------------------------------------------------------------


def _figures(count: Json) -> tuple[list[str], int, int, Fraction | None]:
    ids = [one["id"] for one in count["items"]]
    return ids, count["numerator"], count["denominator"], _exact(count["share"])


@pytest.mark.parametrize("system", SYSTEMS)
async def test_every_alignment_report_is_what_plain_counting_gives(
    years: dict[str, Seen], system: str
) -> None:
    seen = years[system]
    today = datetime.fromisoformat((await seen.get("/ledger"))["at"]).date()
    statuses = []
    for cycle in seen.year.cycles:
        report = await seen.get(f"/cycles/{cycle}/alignment-report")
        expected = seen.needs.alignment(cycle) | seen.needs.dependencies(cycle, today)
        assert {name: _figures(report[name]) for name in expected} == {
            name: (ids, len(ids), among, _share(len(ids), among))
            for name, (ids, among) in expected.items()
        }
        listed = (await seen.get(f"/dependencies?cycle_id={cycle}"))["items"]
        shown = {one["id"]: one["status"] for one in listed if one["status"] != "withdrawn"}
        assert shown == seen.needs.of(cycle)
        statuses += [one["status"] for one in listed]
    assert statuses == ["delivered", "declined", "open", "accepted", "withdrawn", "delivered"]


def _seen(kpi: Json) -> Json:
    proposal = kpi["proposal"] and kpi["proposal"]["key_result"]
    ends = proposal and (proposal["baseline"], proposal["target"])
    names = ("name", "role", "status", "value", "measured_at")
    return {**{name: kpi[name] for name in names}, "proposal": ends}


@pytest.mark.parametrize("system", SYSTEMS)
async def test_every_kpi_is_what_plain_counting_gives(years: dict[str, Seen], system: str) -> None:
    seen, counted = years[system], years[system].kpis.kpis
    shown = (await seen.get("/kpis"))["items"]
    assert {one["id"]: _seen(one) for one in shown} == {
        id: one.shown() for id, one in counted.items()
    }
    for in_range in (True, False):
        listed = await seen.get(f"/kpis?in_range={str(in_range).lower()}")
        among = [id for id, one in counted.items() if one.inside is in_range]
        assert [one["id"] for one in listed["items"]] == among != []
    assert (await seen.get("/kpis?in_focus=true"))["items"] == []
    for id, one in counted.items():
        readings = (await seen.get(f"/kpis/{id}/readings"))["items"]
        names = ("value", "occurred_at", "in_range")
        assert [
            {**{name: each[name] for name in names}, "fed": each["check_in_id"] is not None}
            for each in readings
        ] == one.read
    assert seen.kpis.told == seen.kpis.crossed
    # Out and in again; twice out and once in; out by another bound, in, out and in.
    assert len(seen.kpis.crossed) == 2 + 3 + 4


@pytest.mark.parametrize("system", SYSTEMS)
async def test_a_kpi_in_focus_told_its_key_result_how_far_it_is(
    years: dict[str, Seen], system: str
) -> None:
    seen = years[system]
    ((key_result, seed),) = seen.kpis.seeds.items()
    fed = [one for one in seen.kpis.kpis[seed["kpi_id"]].read if one["fed"]]
    assert len(fed) == 3
    told = (await seen.get(f"/key-results/{key_result}/check-ins"))["items"]
    by_kpi = [one for one in told if one["tracking"] == "kpi"]
    names = ("value", "occurred_at")
    assert [[one[name] for name in names] for one in by_kpi] == [
        [one[name] for name in names] for one in fed
    ]
    shown = await seen.get(f"/key-results/{key_result}")
    assert shown["cycle_id"] == seen.year.cycles[2]
    assert shown["measure"]["baseline"] == seed["baseline"]
    assert shown["value"] == fed[-1]["value"]
    # It was the KPI's for a quarter: nothing of it goes on.
    assert seen.fold.key_results[key_result].score is not None
    assert len(seen.fold.parts(seen.year.cycles[3])) == 6


async def test_kpis_are_seen_again_as_they_stood_at_each_turn(years: dict[str, Seen]) -> None:
    seen = years["measure_what_matters"]
    assert {one["role"] for _, _, one in seen.kpis.then} == {"health_metric", "key_result"}
    for position, id, one in seen.kpis.then:
        assert _seen(await seen.get(f"/kpis/{id}?as_of={position}")) == one


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
