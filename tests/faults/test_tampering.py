"""History cannot be altered by the application, nor unseen by the owner of the tables."""

from __future__ import annotations

import asyncio
from uuid import UUID

from app.events.tables import EventRow
from tests import server
from tests.api import test_verification
from tests.faults.cluster import Place
from tests.faults.ledgers import head
from tests.faults.sizes import CI
from tests.faults.tampering import after, alterations, checkpoint, verifier


async def test_every_event_that_is_altered_dropped_or_moved_is_detected(
    place: Place, seed: int
) -> None:
    outcome = await alterations(place, CI, seed, lambda: None)
    assert CI.altered_rows is not None
    assert outcome.rounds > CI.altered_rows * len(EventRow.model_fields)


async def test_a_verification_of_no_organisation_is_refused(place: Place) -> None:
    async with place.founded():
        pass
    as_application = {"DATABASE_URL": place.database.url}
    status, said = await asyncio.to_thread(server.run, place.folder, "verify", **as_application)
    assert status == 1
    assert "does not own the tables" in said


async def test_an_event_that_the_owner_rewrites_with_its_hash_is_detected(place: Place) -> None:
    """By what somebody else holds: a hash beside the row is the owner's to change."""
    async with place.founded() as api:
        shown = await api.request("GET", "/events")
    event = {**shown.json()["items"][0], "actor": "person/mallory"}
    forged = test_verification._leaf_hash(
        api.org, event, test_verification._data_texts(shown.text)[0]
    )
    rewritten = (
        "UPDATE events SET actor = 'person/mallory', "
        f"leaf_hash = '\\x{forged}' WHERE org_id = $org AND position = 1"
    )
    async with verifier(place) as owner:
        org = UUID(api.org)
        kept = await checkpoint(owner, org)
        assert await after(owner, org, rewritten) == (), "by itself it cannot be told"
        (found,) = await after(owner, org, rewritten, held_to=[kept])
        assert "not those signed then" in found


async def test_last_events_that_the_owner_takes_away_with_their_rows_are_detected(
    place: Place,
) -> None:
    async with place.founded() as api:
        before = await api.head()
        await api.team()
        org = UUID(api.org)
    async with verifier(place) as owner:
        assert await head(owner, api.org) == before + 1
        kept = await checkpoint(owner, org)
        cut = (
            f"DELETE FROM events WHERE org_id = $org AND position > {before}",
            f"UPDATE ledgers SET head = {before} WHERE org_id = $org",
            "DELETE FROM teams WHERE org_id = $org",
        )
        assert await after(owner, org, *cut) == (), "a ledger cut short is a shorter ledger"
        (found,) = await after(owner, org, *cut, held_to=[kept])
        assert f"one was signed of {before + 1} events" in found
