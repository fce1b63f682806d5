"""Any sequence of commands over HTTP, beside a plain model: the invariants hold, whatever comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from uuid_utils.compat import uuid7

from app.application import keys
from tests.conftest import Server, clone
from tests.server import serving

Json = dict[str, Any]

LIMIT = 2
METRIC: Json = {"kind": "metric", "unit": "customers", "baseline": 100, "target": 200}
PHASES = ["planned", "drafting", "active", "scoring", "reflecting", "closed"]
NEXT = {
    "planned": "begin-drafting",
    "drafting": "open",
    "active": "begin-scoring",
    "scoring": "begin-reflection",
    "reflecting": "close",
}
_index = st.integers(0, 50)


class Programme(RuleBasedStateMachine):
    """The model: what a plain reading of the rules says is there, and what may be done."""

    client: ClassVar[httpx.Client]

    def __init__(self) -> None:
        super().__init__()
        self.org = self._founded()
        self.teams = [self._made("/teams", {"name": name}) for name in ("Growth", "Service")]
        decision = {"question": "limits", "max_objectives": LIMIT, "enforcement": "refuse"}
        self._send("PUT", "/deployment/limits", {"decision": decision, "rationale": "Few."})
        quarter = {"name": "2025 Q1", "starts_on": "2025-01-01", "ends_on": "2025-03-31"}
        self.cycle = self._made("/cycles", quarter)
        self.phase = "planned"
        self.objectives: list[str] = []
        self.owner: dict[str, str] = {}
        self.status: dict[str, str] = {}
        self.key_result: dict[str, str] = {}
        self.above: dict[str, set[str]] = {}
        self.events = int(self._get("/ledger")["head"])

    def _founded(self) -> str:
        self.org = ""
        return f"/{self._made('', {'name': 'Machine'})}"

    def _send(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        headers = {"If-Match": "*"} if method == "PUT" else {}
        answer = self.client.request(
            method, f"/v1/organizations{self.org}{path}", json=body, headers=headers
        )
        assert answer.status_code < 500, answer.text
        return answer

    def _made(self, path: str, body: Json) -> str:
        answer = self._send("POST", path, body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def _get(self, path: str) -> Json:
        answer = self._send("GET", path)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def _try(self, method: str, path: str, body: Json | None, *, allowed: bool) -> Json | None:
        """Do it; it must work just where the model says so, and leave nothing where it does not."""
        answer = self._send(method, path, body)
        head = int(self._get("/ledger")["head"])
        assert answer.is_success == allowed, (self.phase, path, answer.text)
        if not allowed:
            assert head == self.events, "refused, and yet something was recorded"
            return None
        self.events = head
        made: Json = answer.json()
        return made

    def _pick(self, index: int) -> str:
        return self.objectives[index % len(self.objectives)]

    def _reaches(self, start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for above in self.above[waiting.pop()] - seen:
                seen.add(above)
                waiting.append(above)
        return seen

    # Rules

    @rule()
    @precondition(lambda self: self.phase != "closed")
    def go_on(self) -> None:
        self._try("POST", f"/cycles/{self.cycle}:{NEXT[self.phase]}", None, allowed=True)
        self.phase = PHASES[PHASES.index(self.phase) + 1]
        if self.phase == "closed":
            self.status = dict.fromkeys(self.status, "closed")

    @rule(command=st.sampled_from(sorted(NEXT.values())))
    def jump(self, command: str) -> None:
        if command != NEXT.get(self.phase):
            self._try("POST", f"/cycles/{self.cycle}:{command}", None, allowed=False)

    @rule(team=st.integers(0, 1))
    def draft(self, team: int) -> None:
        owner = self.teams[team]
        held = sum(
            self.owner[one] == owner and one not in self._abandoned() for one in self.objectives
        )
        body = {
            "cycle_id": self.cycle,
            "owner": {"kind": "team", "id": owner},
            "title": "Customers stay because they succeed",
            "key_results": [{"title": "Active customers", "measure": METRIC}],
        }
        allowed = self.phase in ("drafting", "active") and held < LIMIT
        made = self._try("POST", "/objectives", body, allowed=allowed)
        if made is not None:
            id = made["id"]
            self.objectives.append(id)
            self.owner[id], self.status[id], self.above[id] = owner, "draft", set()
            self.key_result[id] = made["key_results"][0]["id"]

    def _abandoned(self) -> set[str]:
        return {one for one, status in self.status.items() if status == "abandoned"}

    @rule(index=_index)
    @precondition(lambda self: bool(self.objectives))
    def commit(self, index: int) -> None:
        one = self._pick(index)
        allowed = self.phase in ("drafting", "active") and self.status[one] == "draft"
        if self._try("POST", f"/objectives/{one}:commit", None, allowed=allowed):
            self.status[one] = "committed"

    @rule(index=_index)
    @precondition(lambda self: bool(self.objectives))
    def abandon(self, index: int) -> None:
        one = self._pick(index)
        open_now = self.status[one] in ("draft", "committed")
        allowed = self.phase in ("drafting", "active", "scoring") and open_now
        if self._try("POST", f"/objectives/{one}:abandon", {"reason": "No."}, allowed=allowed):
            self.status[one] = "abandoned"

    @rule(below=_index, above=_index)
    @precondition(lambda self: bool(self.objectives))
    def align(self, below: int, above: int) -> None:
        one, other = self._pick(below), self._pick(above)
        living = all(self.status[each] in ("draft", "committed") for each in (one, other))
        is_loop = one == other or one in self._reaches(other)
        allowed = (
            self.phase in ("drafting", "active")
            and living
            and not is_loop
            and other not in self.above[one]
        )
        body = {"target": {"kind": "objective", "id": other}, "rationale": "It helps."}
        if self._try("POST", f"/objectives/{one}/alignments", body, allowed=allowed):
            self.above[one].add(other)

    @rule(index=_index, value=st.integers(-50, 350))
    @precondition(lambda self: bool(self.objectives))
    def check_in(self, index: int, value: int) -> None:
        one = self._pick(index)
        allowed = self.phase == "active" and self.status[one] == "committed"
        path = f"/key-results/{self.key_result[one]}/check-ins"
        body = {"value": value, "occurred_at": "2025-02-01T09:00:00Z"}
        told = self._try("POST", path, body, allowed=allowed)
        if told is not None:
            assert told["progress"] == min(max((value - 100) / 100, 0), 1)

    @rule(index=_index)
    @precondition(lambda self: bool(self.objectives))
    def score(self, index: int) -> None:
        one = self._pick(index)
        allowed = self.phase in ("scoring", "reflecting") and self.status[one] == "committed"
        path = f"/key-results/{self.key_result[one]}/score"
        scored = self._try("PUT", path, {"comment": "As it stands."}, allowed=allowed)
        if scored is not None:
            assert 0 <= scored["score"] <= 1

    # Whatever happened

    @invariant()
    def nobody_holds_more_than_was_decided(self) -> None:
        for team in self.teams:
            held = [one for one in self.objectives if self.owner[one] == team]
            assert len([one for one in held if self.status[one] != "abandoned"]) <= LIMIT

    def teardown(self) -> None:
        shown = self._get(f"/cycles/{self.cycle}/tree?depth=32")
        assert shown["cycle"]["phase"] == self.phase
        assert shown["summary"]["objectives"] == len(self.objectives)
        assert self._get("/ledger:verify")["identical"]


@pytest.fixture(scope="module")
async def machine(cluster: Server) -> Iterator[type[Programme]]:  # type: ignore[misc]
    database = await clone(cluster, f"okr_machine_{uuid7().hex[-8:]}")
    owner = await asyncpg.connect(database.owner_url)
    key = await keys.make_operator(owner, uuid7())
    await owner.close()
    headers = {"Authorization": f"Bearer {key}"}
    with serving(database.url) as base, httpx.Client(base_url=base, headers=headers) as client:
        Programme.client = client
        yield Programme


async def test_whatever_is_sent_the_programme_is_what_the_model_says(
    machine: type[Programme],
) -> None:
    chosen = settings(
        max_examples=12,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(run_machine, machine, settings=chosen)
