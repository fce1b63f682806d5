"""Webhooks over HTTP: what is registered, changed, shown and refused. Sending: tests/webhooks."""

from __future__ import annotations

import pytest

from app.application.webhooks.outbox import TEST
from app.domain.access import Scope
from app.domain.webhook import MOST
from app.events.statements import Connection
from tests.api.programme import NOWHERE, UNKNOWN, Api, Json, pointers

HERE = "/webhooks"


async def test_a_webhook_is_registered_and_its_secret_is_shown_once(
    api: Api, owner: Connection
) -> None:
    body = {"url": NOWHERE, "event_types": ["team.formed"], "description": "The warehouse."}
    answer = await api.request("POST", HERE, json=body, headers={"Idempotency-Key": "once"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["secret"].startswith("whsec_")
    assert answer.headers["Location"].endswith(f"{HERE}/{made['id']}")
    again = await api.request("POST", HERE, json=body, headers={"Idempotency-Key": "once"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == {**made, "secret": None}
    shown = await api.get(f"{HERE}/{made['id']}")
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert {name: shown[name] for name in body} == body
    assert (shown["status"], shown["has_secret"], shown["version"]) == ("enabled", True, 1)
    for path in (HERE, f"{HERE}/{made['id']}", "/events"):
        assert made["secret"] not in (await api.request("GET", path)).text
    kept = "SELECT count(*) FROM {} WHERE strpos({}::text, $1) > 0"
    for table, column in (("events", "data"), ("idempotency_keys", "encode(body, 'escape')")):
        assert await owner.fetchval(kept.format(table, column), made["secret"]) == 0


async def test_what_somebody_wrote_of_it_goes_with_them(api: Api) -> None:
    ada = await api.admin("Ada Park")
    hers = await api.key_for(*Scope, person_id=ada["id"])
    made = await hers.webhook(description="Only she knows.")
    await api.post(f"/people/{ada['id']}:erase", {})
    assert (await api.get(f"{HERE}/{made['id']}"))["description"] == "[erased]"


# Who may ----------------------------------------------------------------------------------


async def test_whoever_may_not_read_the_history_has_none_of_it_sent(api: Api) -> None:
    person = (await api.admin())["id"]
    less = await api.key_for("read", "webhooks:write", person_id=person)
    problem = await less.request("POST", HERE, json={"url": NOWHERE})
    assert (problem.status_code, problem.json()["type"]) == (409, "/problems/refused")
    assert "history:read" in problem.json()["detail"]
    made = await api.webhook()
    path = f"{HERE}/{made['id']}"
    for change in ({"url": f"{NOWHERE}/elsewhere"}, {"event_types": None}):
        answer = await less.request("PATCH", path, json=change, headers={"If-Match": "*"})
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/refused")
    # What gives nothing away, it may do.
    assert (await less.post(f"{path}:disable"))["status"] == "disabled"


async def test_a_key_that_is_kept_to_teams_reaches_no_webhook(api: Api) -> None:
    team = await api.team()
    kept = await api.key_for("read", "webhooks:write", teams=[team["id"]])
    made = await api.webhook()
    wishes: list[tuple[str, Json | None]] = [
        (HERE, {"url": NOWHERE}),
        (f"{HERE}/{made['id']}:test", None),
        (f"{HERE}/{made['id']}:rotate-secret", None),
        (f"{HERE}/{made['id']}:redeliver", {}),
    ]
    for path, body in wishes:
        answer = await kept.request("POST", path, json=body, headers={"Idempotency-Key": path})
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/out-of-reach")


# What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1:8080/", "https://2130706433/",
        "https://169.254.169.254/latest", "https://localhost/", "http://hooks.example.org/",
        "https://[::ffff:10.0.0.1]/",
    ],
)  # fmt: skip
async def test_what_leads_inside_is_refused_at_registration_and_at_a_change(
    api: Api, url: str
) -> None:
    problem = await api.refused("target-refused", "POST", HERE, {"url": url})
    assert problem["status"] == 409
    assert pointers(problem) == ["/url"]
    made = await api.webhook()
    await api.refused("target-refused", "PATCH", f"{HERE}/{made['id']}", {"url": url})


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({"url": "ftp://example.org/"}, "/url"),
        ({"url": "https://user:secret@example.org/"}, "/url"),
        ({"url": "https://example.org/#x"}, "/url"),
        ({"url": None}, "/url"),
        ({"url": NOWHERE, "event_types": []}, "/event_types"),
        ({"url": NOWHERE, "event_types": ["team.formed", "nonsense"]}, "/event_types/1"),
        ({"url": NOWHERE, "event_types": ["team.formed", "webhook.test"]}, "/event_types/1"),
        ({"url": NOWHERE, "description": ""}, "/description"),
        ({"url": NOWHERE, "secret": "whsec_mine"}, "/secret"),
    ],
)
async def test_a_bad_body_is_told_where(api: Api, body: Json, pointer: str) -> None:
    problem = await api.refused("invalid", "POST", HERE, body)
    assert pointers(problem) == [pointer]


async def test_there_are_not_more_of_them_than_an_organisation_needs(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST == 100
    monkeypatch.setattr("app.domain.webhook.MOST", 2)
    made = [await api.webhook() for _ in range(2)]
    await api.refused("refused", "POST", HERE, {"url": NOWHERE})
    await api.post(f"{HERE}/{made[0]['id']}:remove")
    await api.webhook()


async def test_what_is_unknown_is_not_found(api: Api) -> None:
    made = await api.webhook()
    for path in (f"{HERE}/{UNKNOWN}", f"{HERE}/{UNKNOWN}/status", f"{HERE}/{UNKNOWN}/deliveries"):
        await api.refused("not-found", "GET", path)
    await api.refused("not-found", "GET", f"{HERE}/{made['id']}/deliveries/{UNKNOWN}")
    await api.refused("not-found", "POST", f"{HERE}/{made['id']}/deliveries/{UNKNOWN}:redeliver")
    for command in ("disable", "enable", "rotate-secret", "remove", "test", "redeliver"):
        await api.refused("not-found", "POST", f"{HERE}/{UNKNOWN}:{command}")
    await api.refused("not-found", "PATCH", f"{HERE}/{UNKNOWN}", {"description": "So."})


async def test_a_delivery_of_another_webhook_is_not_found(api: Api) -> None:
    one, other = await api.webhook(), await api.webhook()
    delivery = await api.try_out(one)
    await api.refused("not-found", "GET", f"{HERE}/{other['id']}/deliveries/{delivery['id']}")
    path = f"{HERE}/{other['id']}/deliveries/{delivery['id']}:redeliver"
    await api.refused("not-found", "POST", path)


# Changes ----------------------------------------------------------------------------------


async def test_only_what_is_stated_changes(api: Api) -> None:
    made = await api.webhook(event_types=["team.formed"], description="One.")
    path = f"{HERE}/{made['id']}"
    changed = await api.patch(path, {"url": f"{NOWHERE}/v2"})
    assert (changed["url"], changed["event_types"], changed["description"]) == (
        f"{NOWHERE}/v2",
        ["team.formed"],
        "One.",
    )
    changed = await api.patch(path, {"event_types": None, "description": None})
    assert (changed["event_types"], changed["description"]) == (None, None)
    before = await api.head()
    assert (await api.patch(path, {"event_types": None}))["version"] == changed["version"]
    assert await api.head() == before


async def test_the_states_of_a_webhook(api: Api) -> None:
    made = await api.webhook()
    path = f"{HERE}/{made['id']}"
    disabled = await api.post(f"{path}:disable", {"reason": "They move."})
    assert (disabled["status"], disabled["because"], disabled["reason"]) == (
        "disabled",
        "asked",
        "They move.",
    )
    assert (await api.get(f"{path}/status"))["state"] == "disabled"
    for command in ("disable", "test", "redeliver"):
        await api.refused("invalid-state", "POST", f"{path}:{command}")
    enabled = await api.post(f"{path}:enable")
    assert (enabled["status"], enabled["because"], enabled["reason"]) == ("enabled", None, None)
    await api.refused("invalid-state", "POST", f"{path}:enable")
    removed = await api.post(f"{path}:remove", {"reason": "Nobody listens."})
    assert (removed["status"], removed["has_secret"]) == ("removed", False)
    for command in ("disable", "enable", "rotate-secret", "remove", "test", "redeliver"):
        await api.refused("invalid-state", "POST", f"{path}:{command}")
    await api.refused("invalid-state", "PATCH", path, {"description": "So."})
    assert (await api.get(HERE))["items"] == []
    assert [one["id"] for one in (await api.get(HERE, removed="true"))["items"]] == [made["id"]]
    state = await api.get(f"{path}/status")
    assert (state["state"], state["position"], state["behind"]) == ("removed", None, None)


async def test_a_rotated_secret_is_shown_once(api: Api, owner: Connection) -> None:
    made = await api.webhook()
    path = f"{HERE}/{made['id']}:rotate-secret"
    headers = {"Idempotency-Key": "once"}
    first, again = [await api.request("POST", path, headers=headers) for _ in range(2)]
    assert first.json()["secret"] not in (None, made["secret"])
    assert again.json() == {**first.json(), "secret": None}
    for _ in range(5):
        await api.post(path)
    # However often it is rotated, a message has three signatures at most.
    kept = "SELECT count(*) FROM webhook_secrets WHERE org_id = $1::uuid"
    assert await owner.fetchval(kept, api.org) == 3


# What was sent ----------------------------------------------------------------------------


async def test_a_test_to_where_nobody_is_says_so(api: Api) -> None:
    made = await api.webhook()
    seen = await api.try_out(made)
    assert (seen["type"], seen["position"], seen["attempts"]) == (TEST, None, 1)
    (attempt,) = seen["log"]
    assert attempt["status"] is None
    assert "cannot be resolved" in attempt["error"]
    path = f"{HERE}/{made['id']}"
    assert (await api.get(f"{path}/deliveries", type=TEST))["items"] == [
        {name: value for name, value in seen.items() if name != "log"}
    ]
    assert (await api.get(path))["status"] == "enabled"
    state = await api.get(f"{path}/status")
    assert (state["failed"], state["delivered"], state["failing_since"]) == (1, 0, None)


async def test_a_redelivery_of_what_is_waiting_is_refused(api: Api, owner: Connection) -> None:
    made = await api.webhook()
    seen = await api.try_out(made)
    await owner.execute(
        "UPDATE webhook_deliveries SET status = 'pending', due_at = now() + interval '1 hour' "
        "WHERE org_id = $1::uuid",
        api.org,
    )
    path = f"{HERE}/{made['id']}/deliveries/{seen['id']}:redeliver"
    problem = await api.refused("invalid-state", "POST", path)
    assert problem["state"] == "pending"


async def test_sending_leaves_no_trace_in_the_ledger(api: Api) -> None:
    made = await api.webhook()
    before = await api.head()
    seen = await api.try_out(made)
    await api.post(f"{HERE}/{made['id']}/deliveries/{seen['id']}:redeliver")
    await api.post(f"{HERE}/{made['id']}:redeliver", {"after": 1})
    assert await api.head() == before
