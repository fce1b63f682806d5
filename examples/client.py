"""A frontend's day in Python: what `openapi/typescript/examples/day.ts` does, with httpx alone.

Against a running server, with the key of a person who is a member of a team, and an active cycle:

    .venv/bin/python examples/client.py http://127.0.0.1:8000 okr_live_... ORGANIZATION_ID

`Okr` is what is worth copying: problems as exceptions, an Idempotency-Key for each write, changes
that heal when somebody was faster, and lists page by page.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

Json = dict[str, Any]


class Refused(Exception):
    """A problem document (RFC 9457); `kind` is the stable name to decide by."""

    def __init__(self, problem: Json) -> None:
        super().__init__(f"{problem['title']}: {problem['detail']}")
        self.problem = problem
        self.kind = str(problem["type"]).removeprefix("/problems/")


@dataclass(frozen=True)
class Okr:
    """One organisation, reached with one key. Paths begin with a slash, below the organisation."""

    client: httpx.Client
    retries: int = 3

    @classmethod
    def at(cls, base: str, key: str, organization: str) -> Okr:
        return cls(
            httpx.Client(
                base_url=f"{base}/v1/organizations/{organization}",
                headers={"Authorization": f"Bearer {key}"},
                timeout=30,
            )
        )

    def ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        params: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Raises Refused. What the server was too busy for is sent again, with the same key."""
        once = {} if method == "GET" else {"Idempotency-Key": str(uuid4())}
        sent = {**once, **(headers or {})}
        for left in reversed(range(self.retries + 1)):
            answer = self.client.request(method, path, json=body, params=params, headers=sent)
            if left == 0 or answer.status_code not in (429, 503):
                break
            time.sleep(float(answer.headers.get("Retry-After", 1)))
        if answer.is_error:
            is_problem = answer.headers.get("Content-Type") == "application/problem+json"
            told = {"type": "about:blank", "title": answer.reason_phrase, "detail": answer.text}
            raise Refused(answer.json() if is_problem else told)
        return answer

    def get(self, path: str, **params: Any) -> Json:
        found: Json = self.ask("GET", path, params=params).json()
        return found

    def post(self, path: str, body: Json | None = None, if_match: str | None = None) -> Json:
        headers = {} if if_match is None else {"If-Match": if_match}
        made: Json = self.ask("POST", path, body, headers=headers).json()
        return made

    def change(self, path: str, write: Callable[[Json, str], Json], attempts: int = 3) -> Json:
        """`write(current, etag)`, anew from what is there now if somebody was faster."""
        for left in reversed(range(attempts)):
            current = self.ask("GET", path)
            try:
                return write(current.json(), current.headers["ETag"])
            except Refused as refused:
                if left == 0 or refused.kind != "stale-version":
                    raise
        raise AssertionError("there is at least one attempt")

    def pages(self, path: str, **params: Any) -> Iterator[list[Json]]:
        """All pages of a list, one request each, as they are asked for."""
        at: Json = {}
        while True:
            page = self.get(path, **params, **at)
            yield page["items"]
            if page["next_page_token"] is None:
                return
            at = {"page_token": page["next_page_token"]}


KEY_RESULT = {
    "title": "Accounts set up within a week from 120 to 200",
    "measure": {"kind": "metric", "unit": "accounts", "baseline": 120, "target": 200},
}


def day(okr: Okr) -> None:
    # Who am I, and where?
    me = okr.get("/me")
    member = next(role for role in me["roles"] if role["role"] == "member")
    team = member["reach"]["teams"][0]
    print(f"I am {me['actor']}: {', '.join(role['role'] for role in me['roles'])}.")
    cycle = okr.get("/cycles", phase="active")["items"][0]
    owned = {"cycle_id": cycle["id"], "owner": {"kind": "team", "id": team}}

    # The tree, and whether what is on the screen is still true.
    tree = okr.ask("GET", f"/cycles/{cycle['id']}/tree")
    known = {"If-None-Match": tree.headers["ETag"]}
    again = okr.ask("GET", f"/cycles/{cycle['id']}/tree", headers=known)
    print(f"{cycle['name']}: {tree.json()['summary']['objectives']} objectives.")
    print(f"The tree, read again: {again.status_code}.")

    # Typing: the rules say what is missing, long before anything is recorded.
    draft = {"title": "Improve onboarding", "key_results": [{"title": "Hold ten workshops"}]}
    for finding in okr.post("/drafts:validate", {**draft, **owned})["findings"]:
        print(f"  {finding['pointer']}: {finding['message']}")

    # Create it with its key results, and commit to it.
    title = "New customers feel at home within a week"
    objective = okr.post("/objectives", {"title": title, "key_results": [KEY_RESULT], **owned})
    committed = okr.post(f"/objectives/{objective['id']}:commit")
    print(f"{committed['title']}: {committed['status']}.")

    # Check in on what was read. Somebody else does so meanwhile.
    here = f"/key-results/{objective['key_results'][0]['id']}"
    mine = okr.ask("GET", here).headers["ETag"]
    okr.post(f"{here}/check-ins", {"value": 140}, if_match=mine)
    try:
        okr.post(f"{here}/check-ins", {"increment": 20}, if_match=mine)
    except Refused as refused:
        print(f"Conflict: {refused.kind}, now at version {refused.problem['current_version']}.")

    def check_in(current: Json, etag: str) -> Json:
        print(f"It stands at {current['value']} now.")
        said = {"increment": 20, "confidence": 0.7, "health": "on_track"}
        return okr.post(f"{here}/check-ins", said, if_match=etag)

    print(f"Checked in: {okr.change(here, check_in)['value']}.")

    # A list, page by page.
    for number, page in enumerate(okr.pages("/objectives", cycle_id=cycle["id"], page_size=2), 1):
        print(f"Page {number}: {'; '.join(one['title'] for one in page)}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit("usage: client.py BASE_URL KEY ORGANIZATION_ID")
    day(Okr.at(*sys.argv[1:]))
