"""A whole year of an OKR programme over HTTP: deployment, training, four quarters.

Against a running server, with an operator's key:

    .venv/bin/python examples/year.py http://127.0.0.1:8000 okr_live_...

Three organisations are founded, one for each scoring system. Each takes the ten decisions, holds
its workshops, and walks through the quarters of 2025 with every kind of key result. Beside them it
watches three KPIs, one of which needs a quarter in focus, and its teams need things of each other.
It prints where to look.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import httpx

Json = dict[str, Any]

SYSTEMS = {
    "measure_what_matters": "Harbour Bikes",
    "stretch_target_commit": "Lantern Press",
    "radical_focus": "North Kitchen",
}
QUARTERS = (
    ("2025 Q1", "2025-01-01", "2025-03-31", ("01-14", "01-28", "02-11", "02-25", "03-11", "03-25")),
    ("2025 Q2", "2025-04-01", "2025-06-30", ("04-15", "04-29", "05-13", "05-27", "06-10", "06-24")),
    ("2025 Q3", "2025-07-01", "2025-09-30", ("07-15", "07-29", "08-12", "08-26", "09-09", "09-23")),
    ("2025 Q4", "2025-10-01", "2025-12-31", ("10-14", "10-28", "11-11", "11-25", "12-09", "12-23")),
)
DECISIONS: tuple[Json, ...] = (
    {"question": "levels", "owners": ["company", "team", "individual"]},
    {"question": "limits", "max_objectives": 3, "max_key_results": 5, "enforcement": "refuse"},
    {"question": "cadence", "company": "year", "team": "quarterly", "individual": "quarterly"},
    {"question": "cycle_length", "weeks": 13},
    {"question": "tracking", "mechanism": "manual"},
    {"question": "kpis", "policy": "health_metrics_beside_okrs"},
    {"question": "alignment", "policy": "expected"},
    {"question": "bottom_up", "target_share": 0.6},
    {"question": "performance_reviews", "link": "decoupled"},
)
MEASURES: dict[str, Json] = {
    "Returning customers rise": {
        "kind": "metric", "unit": "customers", "baseline": 100, "commit": 120, "target": 160,
        "stretch": 200,
    },
    "Days to an answer fall": {
        "kind": "metric", "unit": "days", "baseline": 9, "commit": 7, "target": 4, "stretch": 2,
    },
    "The shop is reachable": {
        "kind": "threshold", "unit": "percent", "bound": "at_least", "limit": 99,
    },
    "Time lost to returns is known": {"kind": "baseline", "unit": "hours"},
    "A partner stands behind it": {
        "kind": "milestone",
        "levels": {"commit": "A letter", "target": "Signed", "stretch": "Live"},
    },
    "The guide is in every box": {"kind": "milestone"},
}  # fmt: skip
READINGS: dict[str, tuple[Any, ...]] = {
    "Returning customers rise": (104, 111, 125, 131, 140, 148),
    "Days to an answer fall": (9, 8, 7.5, 6, 5, 3.5),
    "The shop is reachable": (99.4, 98.2, 99.1, 99.9, 97.5, 99.3),
    "Time lost to returns is known": (None, None, 31, None, 29, None),
    "A partner stands behind it": ("none", "none", "commit", "commit", "target", "target"),
    "The guide is in every box": (False, False, False, False, True, True),
}
CONFIDENCE = (0.5, 0.5, 0.6, 0.6, 0.7, 0.8)
HEALTH = ("on_track", "at_risk", "on_track", "at_risk", "on_track", "on_track")
TEAMS = {
    "Growth": ("Returning customers rise", "The shop is reachable", "A partner stands behind it"),
    "Service": (
        "Days to an answer fall",
        "Time lost to returns is known",
        "The guide is in every box",
    ),
}
KPIS: dict[str, Json] = {
    "Parcels on time": {
        "owner": "Service", "unit": "percent", "direction": "higher_is_better",
        "healthy": {"low": 95},
    },
    "Weeks of stock": {
        "owner": "Growth", "unit": "weeks", "direction": "in_range",
        "healthy": {"low": 4, "high": 10},
    },
    "Refunds": {
        "owner": "division", "unit": "percent", "direction": "lower_is_better",
        "healthy": {"high": 3},
    },
}  # fmt: skip
WATCHED: dict[str, tuple[tuple[float, float, float], ...]] = {
    "Parcels on time": ((97, 96, 94), (93, 94.5, 96.4), (96, 95.5, 96.2), (95.8, 97, 96.6)),
    "Weeks of stock": ((6, 7, 8), (8, 9.5, 9), (11, 12.5, 9), (8, 7, 10.5)),
    "Refunds": ((2.8, 2.6, 2.7), (2.9, 2.5, 2.2), (2.4, 2.3, 2.1), (1.9, 2.2, 1.8)),
}
"""What the KPIs read, once a month."""
IN_FOCUS, FOCUSED_IN = "Parcels on time", 1
"""The KPI that leaves its range in the first quarter, and is a key result of the second."""
FOCUS: Json = {"commit": 95.5, "target": 97, "stretch": 99}
NEEDS = (
    (
        ("Growth", "Service", "Answers in two languages.", "02-14", "deliver"),
        ("Service", "Growth", "The names of new customers.", "02-28", "decline"),
    ),
    (("Growth", "division", "A stand at the fair.", "05-16", None),),
    (
        ("Service", "Growth", "Photos of what comes back.", "08-15", "accept"),
        ("Growth", "Service", "A reason for each return.", "08-29", "withdraw"),
    ),
    (("Growth", "Service", "One address for all questions.", "11-14", "deliver"),),
)
"""By quarter: who needs what of whom, by when, and how far it comes."""


@dataclass
class Year:
    """One organisation, and the ids of what it made."""

    client: httpx.Client
    key: str
    org: str = ""
    people: list[str] = field(default_factory=list)
    teams: dict[str, str] = field(default_factory=dict)
    cycles: list[str] = field(default_factory=list)
    kpis: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Json | None = None, **headers: str) -> Json:
        answer = self.client.request(
            method,
            f"/v1/organizations{self.org}{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.key}", **headers},
        )
        if answer.status_code >= 400:
            raise SystemExit(f"{method} {path}: {answer.text}")
        made: Json = answer.json()
        return made

    def post(self, path: str, body: Json | None = None) -> Json:
        return self.call("POST", path, body)

    def get(self, path: str) -> Json:
        return self.call("GET", path)

    # Phase 1

    def deploy(self, name: str, system: str) -> None:
        self.org = f"/{self.post('', {'name': name})['id']}"
        for decision in (*DECISIONS, {"question": "scoring", "system": system}):
            body = {"decision": decision, "rationale": "Agreed by the leadership."}
            self.call("PUT", f"/deployment/{decision['question']}", body)
        for person in ("Ada Park", "Ben Ruiz", "Cleo Marsh"):
            self.people.append(self.post("/people", {"name": person})["id"])
        company = self.post("/teams", {"name": name, "level": "company"})["id"]
        division = self.post("/teams", {"name": "Customers", "parent_id": company})["id"]
        self.teams = {"company": company, "division": division}
        for team in TEAMS:
            made = self.post("/teams", {"name": team, "parent_id": division})
            self.teams[team] = made["id"]

    # Phase 2

    def train(self) -> None:
        leadership = self._workshop("leadership", "What OKRs mean for us", self.people[:2])
        outcome = {"outcome": ["Three goals a team.", "Pay stays apart."]}
        self.post(f"/workshops/{leadership}:record-outcome", outcome)
        self.post(f"/workshops/{leadership}:complete")
        coaching = self._workshop("coach", "Coaching OKRs", self.people[2:])
        coach = self.people[2]
        self.post("/coaches", {"person_id": coach})
        self.post(f"/workshops/{coaching}:complete")
        self.post(f"/coaches/{coach}:certify", {"workshop_id": coaching})
        covered = [id for name, id in self.teams.items() if name != "company"]
        self.post(f"/coaches/{coach}:cover-teams", {"teams": covered})

    def _workshop(self, kind: str, title: str, people: list[str]) -> str:
        body = {"kind": kind, "title": title, "scheduled_at": "2024-12-10T09:00:00Z"}
        id: str = self.post("/workshops", body)["id"]
        self.post(f"/workshops/{id}:invite", {"people": people})
        self.post(f"/workshops/{id}:record-attendance", {"people": people})
        return id

    # Phase 3

    def watch(self) -> None:
        """Register the KPIs: watched all the time, whatever the goals of a quarter are."""
        for name, kpi in KPIS.items():
            body = {**kpi, "name": name, "owner": {"kind": "team", "id": self.teams[kpi["owner"]]}}
            self.kpis[name] = self.post("/kpis", body)["id"]

    def execute(self) -> None:
        year = self.post(
            "/cycles", {"name": "2025", "starts_on": "2025-01-01", "ends_on": "2025-12-31"}
        )["id"]
        self.post(f"/cycles/{year}:begin-drafting")
        top = self._objective(
            year, "company", "Customers stay because they succeed", ("Returning customers rise",)
        )
        self.post(f"/objectives/{top['id']}:commit")
        self.post(f"/cycles/{year}:open")
        self.cycles.append(year)
        name, starts_on, ends_on, _ = QUARTERS[0]
        dates = {"starts_on": starts_on, "ends_on": ends_on, "parent_id": year}
        quarter = self.post("/cycles", {"name": name, **dates})["id"]
        self.post(f"/cycles/{quarter}:begin-drafting")
        goals = {
            team: self._objective(quarter, team, f"{team} keeps its promises", parts)
            for team, parts in TEAMS.items()
        }
        for number in range(4):
            quarter, goals = self._quarter(number, year, quarter, top, goals)

    def _objective(self, cycle: str, owner: str, title: str, parts: tuple[str, ...]) -> Json:
        body = {
            "cycle_id": cycle,
            "owner": {"kind": "team", "id": self.teams[owner]},
            "title": title,
            "why_now": "Two customers in three never come back.",
            "origin": "top_down" if owner == "Service" else "bottom_up",
            "key_results": [{"title": part, "measure": MEASURES[part]} for part in parts],
        }
        return self.post("/objectives", body)

    def _quarter(
        self, number: int, year: str, cycle: str, top: Json, goals: dict[str, Json]
    ) -> tuple[str, dict[str, Json]]:
        self.cycles.append(cycle)
        target = {"kind": "key_result", "id": top["key_results"][0]["id"]}
        for team, goal in goals.items():
            if team == "Growth" or number % 2:
                why = "Whoever succeeds comes back."
                self.post(
                    f"/objectives/{goal['id']}/alignments", {"target": target, "rationale": why}
                )
        promised = self._need(number, goals)
        if number == FOCUSED_IN:
            goals["Service"] = self._focus(goals["Service"])
        if number == 3:
            tighter = {"healthy": {"high": 2}, "reason": "We have learnt what is possible."}
            self.call("PATCH", f"/kpis/{self.kpis['Refunds']}", tighter, **{"If-Match": "*"})
        for goal in goals.values():
            self.post(f"/objectives/{goal['id']}:commit")
        self.post(f"/cycles/{cycle}:open")
        self._check_in(number, goals)
        for need in promised:
            self.post(f"/dependencies/{need}:deliver", {"note": "Since this week."})
        self.post(f"/cycles/{cycle}:begin-scoring")
        for team, goal in goals.items():
            for place, part in enumerate(goal["key_results"]):
                body: Json = {"comment": "As it stands."}
                if place == 0 and team == "Service":
                    body |= {"score": 0.8, "adjustment_reason": "The last week is not counted."}
                self.call("PUT", f"/key-results/{part['id']}/score", body)
        self.post(f"/cycles/{cycle}:begin-reflection")
        looked_back = {
            "team_id": self.teams["Growth"],
            "worked": ["Short check-ins"],
            "minutes": 30,
            "participants": self.people[:2],
        }
        self.post(f"/cycles/{cycle}/reflections", looked_back)
        for answer in (5, 4, 4 - number):
            names = ("stayed_visible", "real_cadence", "outcomes_not_activity", "few_enough")
            answers = {**dict.fromkeys(names, answer), "said_early": 3}
            self.post(f"/cycles/{cycle}/survey", {"answers": answers})
        if number == FOCUSED_IN:
            back = {"reason": "It is healthy again; watching it is enough."}
            self.post(f"/kpis/{self.kpis[IN_FOCUS]}:return", back)
        if number == 3:
            self.post(f"/cycles/{cycle}:close")
            return cycle, goals
        return self._reset(number, year, cycle, goals)

    def _need(self, number: int, goals: dict[str, Json]) -> list[str]:
        """Say what the teams need of others, and have it answered. Returns what was promised."""
        promised = []
        speaks, carries = {"person_id": self.people[0]}, {"risk_owner_id": self.people[2]}
        for team, other, needed, day, becomes in NEEDS[number]:
            on: Json = {"kind": "team", "id": self.teams[other]}
            if other in goals:
                on = {"kind": "objective", "id": goals[other]["id"]}
            body = {"on": on, "needed": needed, "needed_by": f"2025-{day}"}
            body |= carries if becomes == "decline" else {}
            need = self.post(f"/objectives/{goals[team]['id']}/dependencies", body)["id"]
            if becomes in ("accept", "deliver"):
                self.post(f"/dependencies/{need}:accept", {**speaks, "note": "It is planned."})
            if becomes == "decline":
                self.post(f"/dependencies/{need}:decline", {**speaks, "reason": "Nobody is free."})
            if becomes == "withdraw":
                self.post(f"/dependencies/{need}:withdraw", {"reason": "We ask them ourselves."})
            if becomes == "deliver":
                promised.append(need)
        return promised

    def _focus(self, goal: Json) -> Json:
        """The KPI that left its range becomes a key result of a goal."""
        kpi = f"/kpis/{self.kpis[IN_FOCUS]}"
        if self.get(kpi)["proposal"] is None:
            raise SystemExit(f"{IN_FOCUS} is healthy, and needs no focus")
        self.post(f"{kpi}:focus", {"objective_id": goal["id"], **FOCUS})
        return self.get(f"/objectives/{goal['id']}")

    def _read(self, number: int, month: int, day: str) -> None:
        for name, kpi in self.kpis.items():
            value = WATCHED[name][number][month]
            reading = {"value": value, "occurred_at": f"2025-{day}T08:00:00Z"}
            self.post(f"/kpis/{kpi}/readings", reading)

    def _check_in(self, number: int, goals: dict[str, Json]) -> None:
        for turn, day in enumerate(QUARTERS[number][3]):
            if turn % 2:
                self._read(number, turn // 2, day)
            for goal in goals.values():
                for part in goal["key_results"]:
                    if part["title"] == IN_FOCUS:
                        # The KPI tells the value; how likely the target is, somebody says.
                        likely = {"confidence": CONFIDENCE[turn], "health": HEALTH[turn]}
                        likely |= {"occurred_at": f"2025-{day}T09:00:00Z"}
                        self.post(f"/key-results/{part['id']}/check-ins", likely)
                        continue
                    body: Json = {
                        "value": READINGS[part["title"]][turn],
                        "confidence": CONFIDENCE[turn],
                        "health": HEALTH[turn],
                        "occurred_at": f"2025-{day}T09:00:00Z",
                    }
                    told = self.post(f"/key-results/{part['id']}/check-ins", body)
                    if turn == 3 and part["title"] == "Returning customers rise":
                        body |= {"value": 133 + number, "reason": "Two were counted twice."}
                        path = f"/check-ins/{told['id']}"
                        self.call("PUT", path, body, **{"If-Match": "*"})
                    if turn == 5 and part["title"] == "The shop is reachable" and number == 1:
                        reason = {"reason": "The probe was off."}
                        self.post(f"/check-ins/{told['id']}:retract", reason)
                    if turn == 5 and part["title"] == "The shop is reachable" and number == 2:
                        late = {"value": 97, "occurred_at": "2025-09-15T09:00:00Z"}
                        note = {"note": "Found in the logs."}
                        self.post(f"/key-results/{part['id']}/check-ins", {**late, **note})
                if turn == 1 and number == 2:
                    self._amend(goal)

    def _amend(self, goal: Json) -> None:
        for part in goal["key_results"]:
            if part["title"] == "Days to an answer fall":
                path = f"/key-results/{part['id']}"
                measure = {**MEASURES[part["title"]], "target": 5}
                body = {"measure": measure, "reason": "One colleague left."}
                self.call("PATCH", path, body, **{"If-Match": "*"})

    def _reset(
        self, number: int, year: str, cycle: str, goals: dict[str, Json]
    ) -> tuple[str, dict[str, Json]]:
        name, starts_on, ends_on, _ = QUARTERS[number + 1]
        choices = [
            {
                "key_result_id": part["id"],
                "choice": "remove" if part["title"] == IN_FOCUS else "keep",
                "cause": "capacity",
            }
            for goal in goals.values()
            for part in goal["key_results"]
        ]
        dates = {"starts_on": starts_on, "ends_on": ends_on, "parent_id": year}
        body = {"next_cycle": {"name": name, **dates}, "choices": choices}
        following: str = self.post(f"/cycles/{cycle}:reset", body)["id"]
        carried = self.get(f"/objectives?cycle_id={following}")["items"]
        by_owner = {one["owner"]["id"]: one for one in carried}
        return following, {team: by_owner[self.teams[team]] for team in TEAMS}


def walk(base: str, key: str) -> dict[str, Year]:
    """A year in each of the three organisations, by scoring system."""
    years = {}
    with httpx.Client(base_url=base, timeout=60) as client:
        for system, name in SYSTEMS.items():
            year = Year(client, key)
            year.deploy(name, system)
            year.train()
            year.watch()
            year.execute()
            years[system] = year
    return years


def main() -> None:
    base, key = sys.argv[1:]
    for system, year in walk(base, key).items():
        print(f"{system}: {base}/v1/organizations{year.org}/cycles/{year.cycles[-1]}/tree")


if __name__ == "__main__":
    main()
