"""Many clients at once, over two servers: one effect per key, one order, and no reader misses."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import uuid4

import httpx

from tests.api.programme import Api, Json
from tests.faults.cluster import Place
from tests.faults.commit_faults import commit_faults
from tests.faults.ledgers import audit, check_ins, gaps, head, verified
from tests.faults.load import Load, made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.sizes import Sizes

_LIST_WRITERS, _LIST_READERS = 12, 4
_LOAD_SECONDS = 300


async def lists(place: Place, sizes: Sizes, seed: int, step: Step) -> Outcome:
    """Writers append to several streams of several ledgers while readers read prefixes of them."""
    what = "append-only lists: writers on 4 streams of 2 ledgers, readers of lists and feed"
    outcome = Outcome("1, 6, 8: what is read is what was acknowledged", what, seed)
    for round_ in range(sizes.list_rounds):
        ledgers = [await made_ledger(place, 4) for _ in range(2)]
        load = Load(place, ledgers, random.Random(f"{seed} {round_}").getrandbits(32))
        async with load.running(writers=_LIST_WRITERS, readers=_LIST_READERS):
            await load.until(sizes.list_appends, _LOAD_SECONDS)
        outcome.acknowledged += load.acknowledged
        async with place.owner() as owner:
            for ledger in ledgers:
                wrong = await audit(owner, ledger, final=True)
                wrong += await verified(place, ledger.api.org)
                demand(wrong, scenario="lists", seed=seed, round_=round_, ledger=ledger)
        outcome.rounds += 1
        step()
    return outcome


async def duplicates(place: Place, sizes: Sizes, seed: int, step: Step) -> Outcome:
    """The same request from many clients at once, over both servers: one effect, one answer."""
    what = f"{sizes.duplicates} concurrent duplicates of each Idempotency-Key, over two servers"
    outcome = Outcome("4: one effect per Idempotency-Key", what, seed)
    ledger = await made_ledger(place, 1)
    (key_result,) = ledger.streams
    path = f"/key-results/{key_result}/check-ins"
    async with place.clients(sizes.duplicates) as clients, place.owner() as owner:
        apis = [replace(ledger.api, client=client) for client in clients]
        for value in range(sizes.keys):
            headers = {"Idempotency-Key": str(uuid4())}
            send = partial(_send, path, {"value": value}, headers)
            answers = await asyncio.gather(*map(send, apis))
            # Whoever was turned away comes again.
            answers += [await send(api) for api in apis[:2]]
            wrong = _one_answer(answers)
            kept = [one for one in await check_ins(owner, ledger.api.org) if one.value == value]
            if len(kept) != 1:
                wrong.append(f"key {headers} has {len(kept)} effects: {kept}")
            demand(wrong, scenario="duplicates", seed=seed, round_=value)
            outcome.acknowledged += sum(answer.status_code == 201 for answer in answers)
            outcome.rounds += 1
            step()
    return outcome


async def _send(path: str, body: Json, headers: dict[str, str], api: Api) -> httpx.Response:
    return await api.request("POST", path, json=body, headers=headers)


def _one_answer(answers: Sequence[httpx.Response]) -> list[str]:
    """What is wrong with the answers to duplicates of one request."""
    wrong = []
    for answer in answers:
        if answer.status_code != 201 and answer.json()["type"] != "/problems/in-flight":
            wrong.append(f"answered {answer.status_code}: {answer.text}")
    made = [answer for answer in answers if answer.status_code == 201]
    if len({(answer.content, answer.headers["Ledger-Position"]) for answer in made}) != 1:
        wrong.append(f"there are several answers: {[answer.text for answer in made]}")
    firsts = sum("Idempotency-Replayed" not in answer.headers for answer in made)
    if firsts != 1:
        wrong.append(f"{firsts} answers say that they are the first one")
    return wrong


async def one_stream(place: Place, sizes: Sizes, seed: int, step: Step) -> Outcome:
    """Many on one stream: those who append, and those who edit what they read and must not lose."""
    what = f"{sizes.writers} writers on one stream; {sizes.editors} that edit what they read"
    outcome = Outcome("6: no lost update", what, seed)
    ledger = await made_ledger(place, 1)
    (key_result,) = ledger.streams
    path = f"/key-results/{key_result}"
    async with place.clients(sizes.writers) as clients, place.owner() as owner:
        apis = [replace(ledger.api, client=client) for client in clients]
        before = await head(owner, ledger.api.org)
        answers = await asyncio.gather(
            *(
                api.request("POST", f"{path}/check-ins", json={"value": value})
                for value, api in enumerate(apis)
            )
        )
        told = sorted(int(answer.headers["Ledger-Position"]) for answer in answers)
        wrong = [answer.text for answer in answers if answer.status_code != 201]
        if told != list(range(before + 1, before + 1 + len(apis))):
            wrong.append(f"positions after {before} were told as {told}")
        edits = await asyncio.gather(
            *(
                _edit(api, path, f"Edited by {number}")
                for number, api in enumerate(apis[: sizes.editors])
            )
        )
        # Each edit was made of the one before it: nobody overwrote what they had not seen.
        versions = sorted(version for version, _ in edits)
        first = versions[0]
        if versions != list(range(first, first + len(edits))):
            wrong.append(f"edits were acknowledged as versions {versions}")
        (last,) = [title for version, title in edits if version == versions[-1]]
        shown = (await replace(ledger.api, client=clients[0]).get(path))["title"]
        if shown != last:
            wrong.append(f"the last edit said {last}, shown is {shown}")
        wrong += await gaps(owner, ledger.api.org)
    wrong += await verified(place, ledger.api.org)
    demand(wrong, scenario="one_stream", seed=seed, round_=0)
    outcome.acknowledged = len(answers) + len(edits)
    outcome.rounds = 1
    step()
    return outcome


async def _edit(api: Api, path: str, title: str) -> tuple[int, str]:
    """Change what was read, as often as it takes; the version that it made, and the title."""
    for _ in range(1_000):
        seen = await api.request("GET", path)
        body = {"title": title, "reason": f"It was {seen.json()['title']!r}."}
        headers = {"If-Match": seen.headers["ETag"]}
        answer = await api.request("PATCH", path, json=body, headers=headers)
        if answer.status_code == 200:
            based_on = seen.json()["version"]
            assert answer.json()["version"] == based_on + 1, answer.text
            return based_on + 1, title
        assert answer.status_code == 412, answer.text
    raise AssertionError(f"{title} never won")


async def followers(place: Place, sizes: Sizes, seed: int, step: Step) -> Outcome:
    """Readers that follow the feed while commits take their time miss, repeat and reorder none."""
    what = f"{sizes.feed_writers} writers, delayed commits, readers that follow the feed"
    outcome = Outcome("8: readers miss no event", what, seed)
    async with commit_faults(place) as faults:
        await faults.delay(4)
        for round_ in range(sizes.feed_rounds):
            wrong, written = await _follow(place, sizes)
            demand(wrong, scenario="followers", seed=seed, round_=round_)
            outcome.acknowledged += written
            outcome.rounds += 1
            step()
    return outcome


async def _follow(place: Place, sizes: Sizes) -> tuple[list[str], int]:
    ledger = await made_ledger(place, 2)
    async with place.clients(sizes.feed_writers + 4) as clients:
        apis = [replace(ledger.api, client=client) for client in clients]
        done = asyncio.Event()
        values = itertools.count()

        async def write(api: Api, number: int) -> None:
            path = f"/key-results/{ledger.streams[number % 2]}/check-ins"
            while (value := next(values)) < sizes.feed_events:
                await api.post(path, {"value": value}, 201)

        async def follow(api: Api, page_size: int) -> list[Json]:
            seen: list[Json] = []
            while True:
                finished = done.is_set()
                after = seen[-1]["position"] if seen else 0
                page = await api.get("/events", after=after, page_size=page_size)
                seen += page["items"]
                if finished and not page["items"]:
                    return seen

        following = [
            asyncio.create_task(follow(api, size))
            for api, size in zip(apis, (1, 2, 7, 500), strict=False)
        ]
        await asyncio.gather(*(write(api, number) for number, api in enumerate(apis[4:])))
        done.set()
        seen = [await task for task in following]
    async with place.owner() as owner:
        wrong = await gaps(owner, ledger.api.org)
        rows = await owner.fetch(
            "SELECT position, event_id::text FROM events WHERE org_id = $1::uuid ORDER BY position",
            ledger.api.org,
        )
    kept = [(row["position"], row["event_id"]) for row in rows]
    for events in seen:
        shown = [(event["position"], event["event_id"]) for event in events]
        if shown != kept:
            often = [one for one, times in Counter(shown).items() if times > 1]
            missed = sorted(set(kept) - set(shown))
            wrong.append(f"of {len(kept)} events, missed {missed[:5]}, repeated {often[:5]}")
    return wrong, sizes.feed_events
