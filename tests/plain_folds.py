"""Plain folds over the events of a programme: of KPIs, and of what teams need of each other.

They know nothing of the program's own, and are compared with what it shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

Json = dict[str, Any]
Found = tuple[list[str], int]
"""The ids that are found, among how many."""


# Needs and alignments ---------------------------------------------------------------------


@dataclass
class Needs:
    """What objectives contribute to, and what they need of other teams. None was abandoned."""

    company: set[str] = field(default_factory=set)
    objectives: dict[str, Json] = field(default_factory=dict)
    key_results: dict[str, str] = field(default_factory=dict)
    links: list[Json] = field(default_factory=list)
    needs: dict[str, Json] = field(default_factory=dict)

    def take(self, event: Json) -> None:
        data, kind = event["data"], event["type"]
        match kind:
            case "team.formed":
                if data["level"] == "company":
                    self.company.add(data["team_id"])
            case "objective.drafted":
                self.objectives[data["objective_id"]] = data
            case "key_result.drafted":
                self.key_results[data["key_result_id"]] = data["objective_id"]
            case "alignment.agreed":
                self.links.append(data)
            case "dependency.declared":
                self.needs[data["dependency_id"]] = {**data, "status": "open"}
            case _ if kind.startswith("dependency."):
                self.needs[data["dependency_id"]]["status"] = kind.partition(".")[2]

    def of(self, cycle: str) -> dict[str, str]:
        """The dependencies of a cycle that were not withdrawn, with how far they are."""
        return {
            id: one["status"]
            for id, one in self.needs.items()
            if one["cycle_id"] == cycle and one["status"] != "withdrawn"
        }

    def dependencies(self, cycle: str, today: date) -> dict[str, Found]:
        mine = self.of(cycle)
        waiting = [id for id, status in mine.items() if status != "delivered"]
        late = [id for id in waiting if date.fromisoformat(self.needs[id]["needed_by"]) < today]
        alone = [id for id in waiting if "risk_owner_id" not in self.needs[id]]
        return {
            "open": ([id for id, status in mine.items() if status == "open"], len(mine)),
            "declined": ([id for id, status in mine.items() if status == "declined"], len(mine)),
            "overdue": (late, len(mine)),
            "without_risk_owner": (alone, len(mine)),
        }

    def alignment(self, cycle: str) -> dict[str, Found]:
        mine = [id for id, one in self.objectives.items() if one["cycle_id"] == cycle]
        top = [id for id in mine if self.objectives[id]["owner"]["id"] in self.company]
        below = [id for id in mine if id not in top]
        above = {
            id: {one["target_objective_id"] for one in self.links if one["objective_id"] == id}
            for id in mine
        }
        helped = {one["target_objective_id"] for one in self.links}
        helped_parts = {one["target"]["id"] for one in self.links}
        parts = [id for id, objective in self.key_results.items() if objective in top]
        stated = [id for id in mine if above[id]]
        return {
            "aligned": ([id for id in below if above[id]], len(below)),
            "unaligned": ([id for id in below if not above[id]], len(below)),
            "orphaned": ([], len(stated)),
            "several_parents": ([id for id in stated if len(above[id]) > 1], len(stated)),
            "objectives_without_contributors": (
                [id for id in top if id not in helped],
                len(top),
            ),
            "key_results_without_contributors": (
                [id for id in parts if id not in helped_parts],
                len(parts),
            ),
        }


# KPIs -------------------------------------------------------------------------------------


@dataclass
class Kpi:
    """`read` holds each reading with the verdict of its time, and whether it was a check-in."""

    terms: Json
    read: list[Json] = field(default_factory=list)
    focus: Json | None = None

    @property
    def latest(self) -> Json | None:
        """Of the latest moment; of two at the same moment the one told last."""
        ordered = sorted(self.read, key=lambda one: datetime.fromisoformat(one["occurred_at"]))
        return ordered[-1] if ordered else None

    @property
    def inside(self) -> bool | None:
        return None if self.latest is None else self.holds(self.latest["value"])

    def holds(self, value: float) -> bool:
        low, high = self.terms["healthy"].get("low"), self.terms["healthy"].get("high")
        return (low is None or value >= low) and (high is None or value <= high)

    def shown(self) -> Json:
        latest, healthy = self.latest or {}, self.terms["healthy"]
        proposal = None
        if self.inside is False and self.focus is None:
            value, low = latest["value"], healthy.get("low")
            back = low if low is not None and value < low else healthy["high"]
            proposal = (value, back)
        return {
            "name": self.terms["name"],
            "role": "health_metric" if self.focus is None else "key_result",
            "status": {None: "unknown", True: "in_range", False: "out_of_range"}[self.inside],
            "value": latest.get("value"),
            "measured_at": latest.get("occurred_at"),
            "proposal": proposal,
        }


@dataclass
class Kpis:
    """`crossed` is counted here, `told` is what the ledger says; `then` what was to be seen."""

    kpis: dict[str, Kpi] = field(default_factory=dict)
    seeds: dict[str, Json] = field(default_factory=dict)
    crossed: list[tuple[str, str]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    then: list[tuple[int, str, Json]] = field(default_factory=list)
    starts: dict[str, str] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    committed: set[str] = field(default_factory=set)

    def take(self, event: Json) -> None:
        data, kind = event["data"], event["type"]
        match kind:
            case "cycle.planned":
                self.starts[data["cycle_id"]] = data["starts_on"]
            case "cycle.opened":
                self.running.add(data["cycle_id"])
            case "cycle.scoring_begun":
                self.running.discard(data["cycle_id"])
            case "objective.committed":
                self.committed.add(data["objective_id"])
            case "kpi.registered":
                self.kpis[data["kpi_id"]] = Kpi(data["terms"])
            case _ if kind.startswith("kpi."):
                self._take(kind, data["kpi_id"], data)
                if kind not in ("kpi.reading_recorded", "kpi.revised"):
                    seen = self.kpis[data["kpi_id"]].shown()
                    self.then.append((event["position"], data["kpi_id"], seen))

    def _take(self, kind: str, id: str, data: Json) -> None:
        one = self.kpis[id]
        before = one.inside
        match kind:
            case "kpi.revised":
                one.terms = data["terms"]
            case "kpi.reading_recorded":
                said = {name: data[name] for name in ("value", "occurred_at")}
                verdict = {"in_range": one.holds(said["value"]), "fed": self._feeds(one, data)}
                one.read.append(said | verdict)
            case "kpi.focused":
                one.focus = data
                assert one.latest is not None, "every KPI of the year is read before its focus"
                self.seeds[data["key_result_id"]] = {"kpi_id": id, "baseline": one.latest["value"]}
            case "kpi.returned":
                one.focus = None
            case "kpi.left_range" | "kpi.returned_to_range":
                self.told.append((id, kind))
        if one.inside is False and before is not False:
            self.crossed.append((id, "kpi.left_range"))
        if one.inside and before is False:
            self.crossed.append((id, "kpi.returned_to_range"))

    def _feeds(self, one: Kpi, data: Json) -> bool:
        """Whether a reading is a check-in too: in focus, in a running cycle, and not before it."""
        focus = one.focus
        return (
            focus is not None
            and focus["objective_id"] in self.committed
            and focus["cycle_id"] in self.running
            and data["occurred_at"] >= self.starts[focus["cycle_id"]]
        )
