"""Organisations: founded, listed, renamed."""

from __future__ import annotations

from dataclasses import replace

import httpx

from tests.api.programme import UNKNOWN, Api


async def test_a_founded_organisation_is_found_by_its_id_and_in_the_list(
    api: Api, http: httpx.AsyncClient
) -> None:
    found = await api.get("")
    assert (found["id"], found["version"], found["name"]) == (api.org, 1, "Harbour & Sons")

    listed = await http.get("/v1/organizations", headers={"Authorization": f"Bearer {api.key}"})
    assert [item for item in listed.json()["items"] if item["id"] == api.org] == [found]


async def test_founding_is_the_first_event_of_a_ledger_of_its_own(api: Api) -> None:
    founded = (await api.get("/events"))["items"]
    assert [event["type"] for event in founded] == ["organization.founded"]
    assert founded[0]["recorded_at"] == (await api.get(""))["founded_at"]


async def test_a_renamed_organisation_keeps_its_id_and_the_day_it_was_founded(api: Api) -> None:
    before = await api.get("")
    renamed = await api.patch("", {"name": "Harbour Group"})
    assert renamed == {**before, "name": "Harbour Group", "version": 2}
    assert await api.get("") == renamed


async def test_a_rename_to_the_same_name_is_no_event(api: Api) -> None:
    before = await api.head()
    same = await api.patch("", {"name": "Harbour & Sons"})
    assert same["version"] == 1
    assert await api.head() == before


async def test_an_organisation_that_was_never_founded_is_not_found(api: Api) -> None:
    nowhere = replace(api, org=UNKNOWN)
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Nobody"}),
        ("GET", "/teams", None),
        ("POST", "/teams", {"name": "Nobody"}),
    ):
        answer = await nowhere.request(method, path, json=body, headers={"If-Match": "*"})
        problem = answer.json()
        assert problem["type"] == "/problems/not-found"
        assert problem["detail"].startswith(f"There is no organisation {UNKNOWN}")
