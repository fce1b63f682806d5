"""What a plain reading of the rules says is there, and what may be done: the machine's model.

`may_...` tell whether a command applies now; what it does is done by the others. One cycle runs at
a time: a reset leads into the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

LIMIT, PARTS = 2, 4
"""The most objectives of an owner in a cycle, and key results of an objective."""
PHASES = ["planned", "drafting", "active", "scoring", "reflecting", "closed"]
EARLY, RUNNING = ("drafting", "active"), ("active", "scoring")
LIVING = ("draft", "committed")
LOW = 150
"""From here on the KPI is healthy."""


@dataclass(eq=False)
class Cycle:
    id: str
    number: int
    phase: str = "planned"

    @property
    def starts(self) -> datetime:
        return datetime(2023 + self.number // 4, 1 + 3 * (self.number % 4), 1, tzinfo=UTC)

    @property
    def dates(self) -> dict[str, str]:
        following = Cycle("", self.number + 1).starts - timedelta(days=1)
        return {"starts_on": f"{self.starts.date()}", "ends_on": f"{following.date()}"}


@dataclass(eq=False)
class Objective:
    id: str
    owner: str
    cycle: Cycle
    status: str = "draft"
    above: set[str] = field(default_factory=set)


@dataclass(eq=False)
class KeyResult:
    """`said` is what counts: a check-in that was retracted is there no more."""

    id: str
    objective: Objective
    baseline: int
    target: int
    committed: int | None = None
    said: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    score: Fraction | None = None

    @property
    def phase(self) -> str:
        return self.objective.cycle.phase

    @property
    def value(self) -> int | None:
        return max(self.said.values())[1] if self.said else None

    def reached(self, target: int) -> Fraction:
        """Where it stands between baseline and a target; silence is where it began."""
        value = self.baseline if self.value is None else self.value
        way = Fraction(value - self.baseline, target - self.baseline)
        return round(min(max(way, Fraction(0)), Fraction(1)), 4)


@dataclass(eq=False)
class Kpi:
    id: str
    read: list[tuple[datetime, int]] = field(default_factory=list)
    focus: KeyResult | None = None

    @property
    def value(self) -> int | None:
        return max(self.read)[1] if self.read else None


@dataclass(eq=False)
class Need:
    id: str
    objective: Objective
    status: str = "open"


@dataclass(eq=False)
class Blocker:
    id: str
    key_result: KeyResult
    action: str
    resolved: bool = False


class Model:
    def __init__(self, teams: list[str], cycle: str, kpi: str) -> None:
        self.teams = teams
        self.cycle = Cycle(cycle, 0)
        self.kpi = Kpi(kpi)
        self.objectives: list[Objective] = []
        self.key_results: list[KeyResult] = []
        self.needs: list[Need] = []
        self.blockers: list[Blocker] = []
        self._moments = 0

    def moment(self, day: int) -> datetime:
        """A moment so many days after the cycle's first one; never the same twice."""
        self._moments += 1
        return self.cycle.starts + timedelta(days=day, seconds=self._moments)

    def parts(self, objective: Objective) -> list[KeyResult]:
        return [one for one in self.key_results if one.objective is objective]

    def held(self, owner: str) -> int:
        """How many objectives an owner has in the cycle of now, the abandoned ones left out."""
        return sum(
            one.owner == owner and one.cycle is self.cycle and one.status != "abandoned"
            for one in self.objectives
        )

    # Goals

    def may_draft(self, owner: str) -> bool:
        return self.cycle.phase in EARLY and self.held(owner) < LIMIT

    def drafted(self, id: str, owner: str, parts: list[tuple[str, int, int]]) -> Objective:
        """`parts`: the key results, each with its id, baseline and target."""
        objective = Objective(id, owner, self.cycle)
        self.objectives.append(objective)
        for key_result, baseline, target in parts:
            self.key_results.append(KeyResult(key_result, objective, baseline, target))
        return objective

    def may_commit(self, one: Objective) -> bool:
        return one.cycle.phase in EARLY and one.status == "draft"

    def may_abandon(self, one: Objective) -> bool:
        return one.cycle.phase in (*EARLY, "scoring") and one.status in LIVING

    def abandoned(self, one: Objective) -> None:
        one.status = "abandoned"
        if self.kpi.focus is not None and self.kpi.focus.objective is one:
            self.kpi.focus = None

    def takes_goals(self, one: Objective) -> bool:
        """Whether what hangs on an objective may still be planned."""
        return one.cycle.phase in EARLY and one.status in LIVING

    def may_align(self, one: Objective, other: Objective) -> bool:
        is_loop = one is other or one.id in self._reached_from(other)
        return (
            self.takes_goals(one)
            and other.status in LIVING
            and not is_loop
            and other.id not in one.above
        )

    def _reached_from(self, start: Objective) -> set[str]:
        above = {one.id: one.above for one in self.objectives}
        seen: set[str] = set()
        waiting = [start.id]
        while waiting:
            fresh = above[waiting.pop()] - seen
            seen |= fresh
            waiting += fresh
        return seen

    def may_amend(self, one: KeyResult, target: int, *, with_reason: bool) -> bool:
        explained = with_reason or target == one.target or one.objective.status == "draft"
        return self.takes_goals(one.objective) and explained

    def amended(self, one: KeyResult, target: int) -> None:
        if target != one.target:
            if one.objective.status == "committed" and one.committed is None:
                one.committed = one.target
            one.target = target

    # What is said

    def takes_check_ins(self, one: KeyResult, at: datetime) -> bool:
        began = one.objective.cycle.starts
        return one.phase == "active" and one.objective.status == "committed" and at >= began

    def may_correct(self, one: KeyResult, check_in: str) -> bool:
        return one.phase in RUNNING and check_in in one.said

    def may_score(self, one: KeyResult) -> bool:
        return one.phase in ("scoring", "reflecting") and one.objective.status == "committed"

    # KPIs

    def read(self, at: datetime, value: int, check_in: str | None) -> None:
        self.kpi.read.append((at, value))
        if check_in is not None and self.kpi.focus is not None:
            self.kpi.focus.said[check_in] = (at, value)

    def feeds(self, at: datetime) -> bool:
        return self.kpi.focus is not None and self.takes_check_ins(self.kpi.focus, at)

    def may_focus(self, one: Objective) -> bool:
        room = len(self.parts(one)) < PARTS
        return self.kpi.focus is None and self.takes_goals(one) and room

    def focused(self, id: str, one: Objective, baseline: int, target: int) -> None:
        self.kpi.focus = KeyResult(id, one, baseline, target)
        self.key_results.append(self.kpi.focus)

    # Dependencies

    def may_need(self, one: Objective, team: str) -> bool:
        return self.takes_goals(one) and one.owner != team

    def may_need_of(self, one: Objective, other: Objective) -> bool:
        return self.takes_goals(one) and other.status in LIVING and other.owner != one.owner

    def may_answer(self, one: Need, word: str) -> bool:
        phase = one.objective.cycle.phase
        match word:
            case "accept" | "decline":
                return phase in EARLY and one.status == "open"
            case "deliver":
                return phase in (*EARLY, "scoring") and one.status == "accepted"
        return phase in (*EARLY, "scoring") and one.status != "withdrawn"

    # The end of a cycle

    def choices(self) -> list[KeyResult]:
        """The key results that a reset must have a choice for."""
        return [
            one
            for one in self.key_results
            if one.objective.cycle is self.cycle and one.objective.status == "committed"
        ]

    def close(self) -> None:
        """Score what is unscored, and end every goal. The KPI is only watched again."""
        for one in self.choices():
            if one.score is None:
                one.score = one.reached(one.target)
        for objective in self.objectives:
            if objective.cycle is self.cycle and objective.status in LIVING:
                objective.status = "closed"
        self.kpi.focus = None
        self.cycle.phase = "closed"

    def go_on_in(self, cycle: str) -> None:
        """The next cycle, which begins to be drafted as this one ends."""
        self.close()
        self.cycle = Cycle(cycle, self.cycle.number + 1, "drafting")
