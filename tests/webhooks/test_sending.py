"""From the ledger to a receiver: what arrives, how it is signed, and what is noted of it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.application.webhooks.leases import AT_ONCE, Messages
from app.application.webhooks.outbox import KEPT
from app.application.webhooks.posting import Poster
from app.application.webhooks.schedule import DELAYS
from app.application.webhooks.sender import PLACES, PLACES_OF_ONE, Sender
from app.application.webhooks.targets import Targets
from app.events.statements import Connection
from app.queries.webhooks import event_message, sample_message
from tests.api.programme import METRIC, Api, Json
from tests.webhooks.receiver import SECONDS, Receiver, Reply, receiving


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What is looked for, as soon as it is there."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(0.05)


async def log(api: Api, webhook: Json, **asked: str) -> list[Json]:
    items: list[Json] = (await api.get(f"/webhooks/{webhook['id']}/deliveries", **asked))["items"]
    return items


async def detail(api: Api, delivery: Json) -> Json:
    return await api.get(f"/webhooks/{delivery['webhook_id']}/deliveries/{delivery['id']}")


async def settled(api: Api, webhook: Json) -> list[Json]:
    """The log, once nothing in it waits for the first time."""

    async def look() -> list[Json] | None:
        found = await log(api, webhook)
        seen = [await detail(api, one) for one in found]
        is_done = all(one["log"] and one["log"][-1]["milliseconds"] is not None for one in seen)
        return seen if seen and is_done else None

    found: list[Json] = await until(look)
    return found


async def sent_once_more(owner: Connection, api: Api, tries: int) -> None:
    """Let so much time pass that what waits is due, having failed so many times already."""
    await owner.execute(
        "UPDATE webhook_deliveries SET due_at = now(), tries = $2 "
        "WHERE org_id = $1::uuid AND status = 'pending'",
        api.org,
        tries,
    )


# What arrives -----------------------------------------------------------------------------


async def test_what_is_recorded_arrives_signed(api: Api, receiver: Receiver) -> None:
    webhook = await api.post("/webhooks", {"url": receiver.url})
    team = await api.team("Growth")
    (one, *_) = await receiver.first(1)
    assert one.is_signed(webhook["secret"])
    (event,) = (await api.get("/events", type="team.formed"))["items"]
    assert one.id == event["event_id"]
    assert one.message == {
        "type": "team.formed",
        "timestamp": event["recorded_at"],
        "data": {**event, "organization_id": api.org},
    }
    assert team["name"] == one.message["data"]["data"]["name"]
    assert one.headers["content-type"] == "application/json"
    assert one.headers["host"] == f"127.0.0.1:{receiver.port}"
    (told,) = await settled(api, webhook)
    assert (told["status"], told["attempts"], told["event_id"]) == ("delivered", 1, one.id)
    assert (told["log"][0]["status"], told["log"][0]["error"]) == (204, None)


async def test_nothing_of_before_is_sent_and_only_what_was_asked_for(
    api: Api, receiver: Receiver
) -> None:
    await api.team("Before")
    body = {"url": receiver.url, "event_types": ["team.formed", "person.registered"]}
    webhook = await api.post("/webhooks", body)
    await api.decide("limits", max_objectives=2)
    team = await api.team("After")
    await api.patch(f"/teams/{team['id']}", {"name": "Later"})
    await api.person()
    received = await receiver.first(2)
    await settled(api, webhook)
    # Several are under way at once, so that either may arrive first.
    assert {one.message["type"] for one in received} == {"team.formed", "person.registered"}
    status = await until(lambda: _caught_up(api, webhook))
    assert (status["delivered"], status["waiting"], status["failed"]) == (2, 0, 0)


async def _caught_up(api: Api, webhook: Json) -> Json | None:
    status = await api.get(f"/webhooks/{webhook['id']}/status")
    return status if status["behind"] == 0 else None


async def test_what_was_erased_meanwhile_is_not_sent(
    api: Api, receiver: Receiver, sending_owner: Connection
) -> None:
    replies = iter([Reply(500)])
    receiver.reply = lambda _: next(replies, Reply())
    _, objective = await api.running()
    ada = await api.admin("Ada Park")
    hers = await api.key_for("read", "check-ins:write", person_id=ada["id"])
    webhook = await api.post(
        "/webhooks", {"url": receiver.url, "event_types": ["check_in.recorded"]}
    )
    await hers.check_in(objective["key_results"][0], value=150, note="Only she knows.")
    await settled(api, webhook)
    await api.post(f"/people/{ada['id']}:erase", {})
    await sent_once_more(sending_owner, api, 1)
    first, again = await receiver.first(2)
    assert first.message["data"]["data"]["terms"]["note"] == "Only she knows."
    assert again.message["data"]["data"]["terms"]["note"] == "[erased]"
    assert first.id == again.id


async def test_every_organisation_is_sent_its_own(api: Api, receiver: Receiver) -> None:
    other = await Api.found(api.client, api.key)
    async with receiving() as another:
        mine = await api.post("/webhooks", {"url": receiver.url})
        theirs = await other.post("/webhooks", {"url": another.url})
        await asyncio.gather(api.team("Ours"), other.team("Theirs"))
        (one,), (two,) = await receiver.first(1), await another.first(1)
        assert (one.message["data"]["organization_id"], one.is_signed(mine["secret"])) == (
            api.org,
            True,
        )
        assert (two.message["data"]["organization_id"], two.is_signed(theirs["secret"])) == (
            other.org,
            True,
        )


async def test_many_events_all_arrive_with_no_more_at_once_than_one_webhook_may_have(
    api: Api, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(seconds=0.02)
    await api.post("/webhooks", {"url": receiver.url, "event_types": ["key_result.drafted"]})
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team)
    for number in range(30):
        draft = {"title": f"Key result {number}", "measure": METRIC}
        await api.post(f"/objectives/{objective['id']}/key-results", draft)
    received = await receiver.first(31)
    assert len({one.id for one in received}) == 31
    assert 1 < receiver.most_under_way <= AT_ONCE


# What goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "status", "told"),
    [
        (Reply(500, body=b"Broken"), 500, "500 is no success"),
        (Reply(404), 404, "404 is no success"),
        (Reply(302, {"Location": "http://127.0.0.1:1/"}), 302, "redirects are not followed"),
        (Reply(raw=b"hello there\r\n\r\n"), None, "does not speak HTTP"),
        (Reply(raw=b""), None, "does not speak HTTP"),
    ],
    ids=["500", "404", "redirect", "no-http", "hangs-up"],
)
async def test_what_is_no_success_is_tried_again_and_says_why(
    api: Api, receiver: Receiver, reply: Reply, status: int | None, told: str
) -> None:
    receiver.reply = lambda _: reply
    webhook = await api.post("/webhooks", {"url": receiver.url})
    await api.team()
    (seen,) = await settled(api, webhook)
    assert (seen["status"], seen["finished_at"]) == ("pending", None)
    assert seen["next_attempt_at"] > seen["log"][0]["began_at"]
    assert seen["log"][0]["status"] == status
    assert told in seen["log"][0]["error"]
    state = await api.get(f"/webhooks/{webhook['id']}/status")
    assert (state["waiting"], state["failing_since"] is not None) == (1, True)


async def test_a_receiver_that_is_not_there_is_noted(api: Api) -> None:
    async with receiving() as gone:
        url = gone.url
    webhook = await api.post("/webhooks", {"url": url})
    await api.team()
    (seen,) = await settled(api, webhook)
    assert seen["log"][0]["error"].startswith("No connection")
    assert seen["status"] == "pending"


async def test_it_is_sent_again_and_again_until_it_arrives(
    api: Api, receiver: Receiver, sending_owner: Connection
) -> None:
    replies = iter([Reply(503), Reply(503)])
    receiver.reply = lambda _: next(replies, Reply(200, body=b"Thanks"))
    webhook = await api.post("/webhooks", {"url": receiver.url})
    await api.team()
    for count in (1, 2):
        await receiver.first(count)
        await settled(api, webhook)
        await sent_once_more(sending_owner, api, count)
    received = await receiver.first(3)
    assert len({one.id for one in received}) == 1
    assert all(one.is_signed(webhook["secret"]) for one in received)
    seen = await until(lambda: _in_state(api, webhook, "delivered"))
    assert [one["status"] for one in seen["log"]] == [503, 503, 200]
    assert seen["log"][-1]["answer"] == "Thanks"
    assert (await api.get(f"/webhooks/{webhook['id']}/status"))["failing_since"] is None


async def _in_state(api: Api, webhook: Json, status: str) -> Json | None:
    (one,) = await log(api, webhook)
    return await detail(api, one) if one["status"] == status else None


async def test_of_a_long_answer_one_kilobyte_is_kept(api: Api, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(500, body=b"\x00\xff" + b"x" * 5_000_000)
    webhook = await api.post("/webhooks", {"url": receiver.url})
    await api.team()
    (seen,) = await settled(api, webhook)
    answer = seen["log"][0]["answer"]
    assert answer == "\N{REPLACEMENT CHARACTER}" * 2 + "x" * 1022


async def test_the_last_attempt_that_fails_disables_the_webhook(
    api: Api, receiver: Receiver, sending_owner: Connection
) -> None:
    receiver.reply = lambda _: Reply(500)
    webhook = await api.post("/webhooks", {"url": receiver.url})
    here = f"/webhooks/{webhook['id']}"
    await api.team()
    await settled(api, webhook)
    await sent_once_more(sending_owner, api, len(DELAYS) - 1)
    seen = await until(lambda: _in_state(api, webhook, "failed"))
    assert len(seen["log"]) == 2
    shown = await api.get(here)
    assert (shown["status"], shown["because"]) == ("disabled", "given_up")
    (event,) = (await api.get("/events", type="webhook.disabled"))["items"]
    assert (event["source"], event["actor"]) == ("webhooks", f"webhook/{webhook['id']}")
    assert event["causation_id"] == seen["event_id"]
    assert (await api.get(f"{here}/status"))["state"] == "disabled"


async def test_gone_disables_the_webhook_at_once(api: Api, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(410)
    webhook = await api.post("/webhooks", {"url": receiver.url})
    await api.team()
    await receiver.first(1)
    await until(lambda: _in_state(api, webhook, "failed"))
    shown = await api.get(f"/webhooks/{webhook['id']}")
    assert (shown["status"], shown["because"]) == ("disabled", "gone")
    await api.team("Unseen")
    await asyncio.sleep(0.2)
    assert len(receiver.received) == 1


async def test_a_target_that_hangs_keeps_no_other_one_waiting(api: Api, receiver: Receiver) -> None:
    async with receiving() as slow:
        slow.reply = lambda _: Reply(seconds=SECONDS)
        for _ in range(12):
            await api.post("/webhooks", {"url": slow.url, "event_types": ["team.formed"]})
        await api.post("/webhooks", {"url": receiver.url})
        for number in range(5):
            await api.team(f"Team {number}")
        received = await receiver.first(5)
        assert len({one.id for one in received}) == 5


async def test_an_organisation_whose_receivers_hang_keeps_no_other_one_waiting(
    api: Api, receiver: Receiver, sending_client: httpx.AsyncClient
) -> None:
    async with receiving() as slow:
        slow.reply = lambda _: Reply(seconds=SECONDS)
        for _ in range(5):
            hanging = await api.webhook(url=slow.url)
            for _ in range(AT_ONCE):
                await api.post(f"/webhooks/{hanging['id']}:test", status=201)
        await slow.first(PLACES_OF_ONE)
        other = await Api.found(sending_client, api.key)
        await other.post("/webhooks", {"url": receiver.url})
        await other.team()
        await receiver.first(1, seconds=5)
        # Those that had none under way may have one each.
        assert PLACES_OF_ONE <= len(slow.received) <= PLACES_OF_ONE + 2 < PLACES


async def test_what_the_address_before_said_says_nothing_of_the_new_one(
    api: Api, receiver: Receiver
) -> None:
    async with receiving() as before:
        before.reply = lambda _: Reply(410, seconds=3)
        webhook = await api.post("/webhooks", {"url": before.url})
        await api.team()
        await before.first(1)
        await api.patch(f"/webhooks/{webhook['id']}", {"url": receiver.url})
        await receiver.until(lambda got: before.received[0].id in {one.id for one in got})
    assert (await api.get(f"/webhooks/{webhook['id']}"))["status"] == "enabled"
    (moved,) = await log(api, webhook, type="team.formed")
    assert [one["status"] for one in (await detail(api, moved))["log"]] == [410, 204]


# Once more --------------------------------------------------------------------------------


async def test_a_message_is_redelivered_with_the_same_id(api: Api, receiver: Receiver) -> None:
    webhook = await api.post("/webhooks", {"url": receiver.url})
    await api.team()
    (seen,) = await settled(api, webhook)
    path = f"/webhooks/{webhook['id']}/deliveries/{seen['id']}"
    begun = await api.post(f"{path}:redeliver")
    assert begun["status"] == "pending"
    first, again = await receiver.first(2)
    assert first.id == again.id
    assert first.body == again.body
    seen = await until(lambda: _in_state(api, webhook, "delivered"))
    assert seen["attempts"] == 2


async def test_what_was_missed_while_it_was_disabled_is_sent_when_somebody_asks(
    api: Api, receiver: Receiver
) -> None:
    await api.team("Before")
    webhook = await api.post("/webhooks", {"url": receiver.url, "event_types": ["team.formed"]})
    here = f"/webhooks/{webhook['id']}"
    await api.team("First")
    await receiver.first(1)
    await settled(api, webhook)
    await api.post(f"{here}:disable", {"reason": "We move."})
    await api.team("Second")
    await api.team("Third")
    await api.post(f"{here}:enable")
    await api.team("Fourth")
    await receiver.first(2)
    asked = await api.post(f"{here}:redeliver")
    assert asked == {"failed": 0, "missed": 2, "more": False}
    names = [one.message["data"]["data"]["name"] for one in await receiver.first(4)]
    assert names[:2] == ["First", "Fourth"]
    assert sorted(names[2:]) == ["Second", "Third"]
    assert await api.post(f"{here}:redeliver") == {"failed": 0, "missed": 0, "more": False}


async def test_what_failed_is_sent_again_from_a_position_or_a_moment_on(
    api: Api, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(500)
    webhook = await api.post("/webhooks", {"url": receiver.url, "event_types": ["team.formed"]})
    here = f"/webhooks/{webhook['id']}"
    await api.team("First")
    first = await api.head()
    await api.team("Second")
    await settled(api, webhook)
    await api.post(f"{here}:disable")
    assert {one["status"] for one in await log(api, webhook)} == {"failed"}
    await api.refused("invalid-state", "POST", f"{here}:redeliver")
    await api.post(f"{here}:enable")
    receiver.reply = lambda _: Reply()
    receiver.received.clear()
    last = (await api.get("/events", type="team.formed"))["items"][-1]
    for body in ({"after": first}, {"since": "2999-01-01T00:00:00Z"}):
        asked = await api.post(f"{here}:redeliver", body)
        assert asked["failed"] == (1 if "after" in body else 0)
    (one,) = await receiver.first(1)
    assert one.id == last["event_id"]
    asked = await api.post(f"{here}:redeliver", {"since": "2020-01-01T00:00:00Z"})
    assert asked["failed"] == 1


async def test_a_test_is_sent_once_and_tells_what_came_of_it(api: Api, receiver: Receiver) -> None:
    webhook = await api.post("/webhooks", {"url": receiver.url})
    made = await api.post(f"/webhooks/{webhook['id']}:test", status=201)
    (one,) = await receiver.first(1)
    assert one.is_signed(webhook["secret"])
    assert one.id == made["event_id"]
    assert (one.message["type"], one.message["data"]) == (
        "webhook.test",
        {"organization_id": api.org, "webhook_id": webhook["id"]},
    )
    await settled(api, webhook)
    receiver.reply = lambda _: Reply(500)
    await api.post(f"/webhooks/{webhook['id']}:test", status=201)
    failed = await until(lambda: log(api, webhook, status="failed"))
    assert [one["next_attempt_at"] for one in failed] == [None]
    assert (await api.get(f"/webhooks/{webhook['id']}"))["status"] == "enabled"


# Secrets ----------------------------------------------------------------------------------


async def test_both_secrets_sign_for_a_day_after_a_rotation(
    api: Api, receiver: Receiver, sending_owner: Connection
) -> None:
    webhook = await api.post("/webhooks", {"url": receiver.url})
    rotated = await api.post(f"/webhooks/{webhook['id']}:rotate-secret")
    assert rotated["secret"] != webhook["secret"]
    await api.team("Both")
    await receiver.until(lambda found: bool(found) and _is_team(found[-1]))
    received = receiver.received[-1]
    assert received.is_signed(webhook["secret"])
    assert received.is_signed(rotated["secret"])
    await sending_owner.execute(
        "UPDATE webhook_secrets SET until = now() WHERE org_id = $1::uuid AND until IS NOT NULL",
        api.org,
    )
    await api.team("New alone")
    await receiver.first(len(receiver.received) + 1)
    received = receiver.received[-1]
    assert not received.is_signed(webhook["secret"])
    assert received.is_signed(rotated["secret"])


def _is_team(one: Any) -> bool:
    return bool(one.message["type"] == "team.formed")


async def test_without_a_secret_nothing_is_sent_until_it_is_rotated(
    api: Api, receiver: Receiver, sending_owner: Connection
) -> None:
    """As in a ledger that was brought here from elsewhere."""
    webhook = await api.post("/webhooks", {"url": receiver.url, "event_types": ["team.formed"]})
    here = f"/webhooks/{webhook['id']}"
    for table in ("webhook_secrets", "webhook_cursors"):
        await sending_owner.execute(f"DELETE FROM {table} WHERE org_id = $1::uuid", api.org)
    await api.team("Before")
    assert (await api.get(here))["has_secret"] is False
    assert (await api.get(f"{here}/status"))["state"] == "no_secret"
    await api.refused("invalid-state", "POST", f"{here}:test")
    rotated = await api.post(f"{here}:rotate-secret")
    assert (await api.get(here))["has_secret"] is True
    await api.team("After")
    (one,) = await receiver.first(1)
    assert one.message["data"]["data"]["name"] == "After"
    assert one.is_signed(rotated["secret"])


# Leases -----------------------------------------------------------------------------------


async def test_what_a_killed_sender_had_under_way_is_sent_when_its_lease_ends(
    api: Api, receiver: Receiver, sending_owner: Connection
) -> None:
    webhook = await api.post("/webhooks", {"url": receiver.url})
    await api.team()
    (seen,) = await settled(api, webhook)
    # As if whoever began the attempt had never told of it.
    await sending_owner.execute(
        "UPDATE webhook_deliveries SET status = 'pending', due_at = now(), finished_at = NULL, "
        "leased_until = now() + interval '1 second' WHERE org_id = $1::uuid",
        api.org,
    )
    await sending_owner.execute(
        "UPDATE webhook_attempts SET milliseconds = NULL WHERE org_id = $1::uuid", api.org
    )
    assert (await api.get(f"/webhooks/{webhook['id']}/status"))["waiting"] == 1
    first, again = await receiver.first(2)
    assert first.id == again.id
    seen = await until(lambda: _in_state(api, webhook, "delivered"))
    assert [one["milliseconds"] is None for one in seen["log"]] == [True, False]
    # A process that went away says nothing about the receiver.
    assert (await api.get(f"/webhooks/{webhook['id']}/status"))["failing_since"] is None


# The log ----------------------------------------------------------------------------------


async def test_what_was_delivered_a_month_ago_is_forgotten(
    api: Api, receiver: Receiver, sending_owner: Connection, sending_app: Any
) -> None:
    webhook = await api.post("/webhooks", {"url": receiver.url})
    await api.team("Old")
    await settled(api, webhook)
    await sending_owner.execute(
        "UPDATE webhook_deliveries SET finished_at = finished_at - $2::interval "
        "WHERE org_id = $1::uuid",
        api.org,
        KEPT,
    )
    await api.team("New")
    await receiver.first(2)
    await settled(api, webhook)
    sender: Sender = sending_app.state.sender
    await sender._tidy()
    (left,) = await log(api, webhook)
    assert left["event_id"] == receiver.received[-1].id
    kept = await sending_owner.fetchval(
        "SELECT count(*) FROM webhook_attempts WHERE org_id = $1::uuid", api.org
    )
    assert kept == 1


async def test_however_much_is_old_all_of_it_is_forgotten(
    api: Api, sending_client: httpx.AsyncClient, sending_owner: Connection, sending_app: Any
) -> None:
    here = [(api, await api.webhook()) for api in (api, await Api.found(sending_client, api.key))]
    for one, webhook in here:
        await sending_owner.execute(
            "INSERT INTO webhook_deliveries (org_id, delivery_id, webhook_id, number, event_id, "
            "type, status, attempts, tries, made_at, finished_at) "
            "SELECT $1::uuid, gen_random_uuid(), $2::uuid, n, gen_random_uuid(), 'team.formed', "
            "'delivered', 1, 0, now() - interval '31 days', now() - interval '31 days' "
            "FROM generate_series(1, 1200) n",
            one.org,
            webhook["id"],
        )
    sender: Sender = sending_app.state.sender
    # As if a minute had gone by.
    sender._tidied_at = -math.inf
    sender.wake()

    async def is_empty() -> bool:
        return not [left for one, webhook in here for left in await log(one, webhook)]

    await until(is_empty)


async def test_the_log_is_narrowed_by_status_and_type(api: Api, receiver: Receiver) -> None:
    receiver.reply = lambda one: Reply(500 if one.message["type"] == "team.formed" else 204)
    webhook = await api.post("/webhooks", {"url": receiver.url})
    await api.team()
    await api.person()
    await settled(api, webhook)
    assert [one["type"] for one in await log(api, webhook)] == ["person.registered", "team.formed"]
    (waiting,) = await log(api, webhook, status="pending")
    assert waiting["type"] == "team.formed"
    (one,) = await log(api, webhook, type="person.registered")
    assert one["status"] == "delivered"
    here = f"/webhooks/{webhook['id']}/deliveries"
    await api.refused("invalid", "GET", f"{here}?type=nonsense")
    await api.refused("invalid", "GET", f"{here}?status=nonsense")


async def test_no_message_holds_a_secret(api: Api, receiver: Receiver) -> None:
    webhook = await api.post("/webhooks", {"url": receiver.url})
    await api.post(f"/webhooks/{webhook['id']}:rotate-secret")
    await receiver.first(1)
    for one in receiver.received:
        assert webhook["secret"].encode() not in one.body
        assert json.dumps(one.message)


# The end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(5))
async def test_a_sender_that_is_told_to_go_as_it_is_woken_goes(
    sending_app: Any, turns: int
) -> None:
    ledgers = sending_app.state.ledgers
    messages = Messages(event_message, sample_message)
    for _ in range(5):
        sender = Sender(ledgers, messages, Poster(Targets()), connections=1)
        async with asyncio.timeout(SECONDS), sender.sending():
            await asyncio.sleep(0.1)
            sender.wake()
            for _ in range(turns):
                await asyncio.sleep(0)
