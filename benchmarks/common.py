"""What the parts of a run share."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from pydantic import BaseModel

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent


class BenchmarkFailed(Exception):
    """A figure of this run would not mean what it says; the message tells why."""


class Programme(BaseModel):
    """An organisation with one key result to check in on, and a key that may."""

    org_id: UUID
    key_result_id: UUID
    key: str

    @property
    def path(self) -> str:
        return f"/v1/organizations/{self.org_id}/key-results/{self.key_result_id}/check-ins"


def check_in(value: int) -> dict[str, object]:
    """What every check-in says."""
    return {
        "value": value,
        "confidence": 0.6,
        "health": "on_track",
        "note": "Two large customers went live.",
    }
