"""How the machine talks to the API, and what it must be shown in the end."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import Any, ClassVar

import httpx

from tests.machine_model import LIMIT, LOW, Model

Json = dict[str, Any]


def exact(figure: float | None) -> Fraction | None:
    return None if figure is None else Fraction(str(figure))


class Sender:
    """Requests below one organisation, whose ledger has so many `events`."""

    client: ClassVar[httpx.Client]
    met: ClassVar[Counter[tuple[str, bool]]]
    org = ""
    events = 0

    def send(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        headers = {"If-Match": "*"} if method in ("PUT", "PATCH") else {}
        answer = self.client.request(
            method, f"/v1/organizations{self.org}{path}", json=body, headers=headers
        )
        assert answer.status_code < 500, answer.text
        return answer

    def made(self, path: str, body: Json) -> str:
        answer = self.send("POST", path, body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def get(self, path: str) -> Json:
        answer = self.send("GET", path)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def all(self, path: str) -> dict[str, Json]:
        """Everything that a list holds, by id."""
        page = self.get(f"{path}{'&' if '?' in path else '?'}page_size=500")
        assert page["next_page_token"] is None
        return {one["id"]: one for one in page["items"]}

    def attempt(self, method: str, path: str, body: Json | None, *, allowed: bool) -> Json | None:
        """Do it; it must work just where the model says so, and leave nothing where it does not."""
        answer = self.send(method, path, body)
        assert answer.is_success == allowed, (method, path, body, answer.text)
        word = "..." + re.sub(r"[0-9a-f-]{36}", "", path)
        self.met[f"{method} {word}", allowed] += 1
        if not allowed:
            head = int(self.get("/ledger")["head"])
            assert head == self.events, "refused, and yet something was recorded"
            return None
        self.events = int(answer.headers["Ledger-Position"])
        told: Json = answer.json()
        return told


def assert_shown(sender: Sender, model: Model) -> None:
    """What is shown is what the model says."""
    _goals(sender, model)
    _figures(sender, model)
    _dependencies_and_blockers(sender, model)
    _kpi(sender.get(f"/kpis/{model.kpi.id}"), model)


def _goals(sender: Sender, model: Model) -> None:
    shown = sender.all("/objectives")
    assert set(shown) == {one.id for one in model.objectives}
    held: Counter[tuple[str, str]] = Counter()
    for one in model.objectives:
        seen = shown[one.id]
        status = "abandoned" if seen["outcome"] == "abandoned" else seen["status"]
        # What was never committed before its cycle ended is abandoned with it.
        assert status == one.status or (status, one.status) == ("abandoned", "closed"), seen
        assert {link["target"]["id"] for link in seen["contributes_to"]} == one.above
        if one.status != "abandoned":
            held[one.cycle.id, seen["owner"]["id"]] += 1
    assert all(count <= LIMIT for count in held.values())
    tree = sender.get(f"/cycles/{model.cycle.id}/tree?depth=32")
    assert tree["cycle"]["phase"] == model.cycle.phase
    inside = [one for one in model.objectives if one.cycle is model.cycle]
    assert tree["summary"]["objectives"] == len(inside)


def _figures(sender: Sender, model: Model) -> None:
    shown = sender.all("/key-results")
    assert set(shown) == {one.id for one in model.key_results}
    for one in model.key_results:
        seen = shown[one.id]
        progress = None if one.value is None else one.reached(one.target)
        assert (seen["value"], exact(seen["progress"])) == (one.value, progress)
        assert exact(seen["score"]) == one.score
        assert one.score is None or 0 <= one.score <= 1


def _dependencies_and_blockers(sender: Sender, model: Model) -> None:
    needs = sender.all("/dependencies")
    assert {id: one["status"] for id, one in needs.items()} == {
        one.id: one.status for one in model.needs
    }
    blockers = sender.all("/blockers?resolved=true")
    assert {id: (one["next_action"], one["resolved"]) for id, one in blockers.items()} == {
        one.id: (one.action, one.resolved) for one in model.blockers
    }


def _kpi(shown: Json, model: Model) -> None:
    value, focus = model.kpi.value, model.kpi.focus
    assert shown["value"] == value
    assert (shown["focus"] and shown["focus"]["key_result_id"]) == (focus and focus.id)
    outside = value is not None and value < LOW
    assert (shown["proposal"] is not None) == (outside and focus is None)
