"""One place for all tests of faults: a durable Postgres of their own, and two servers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from tests.faults.cluster import Place, made_place


@pytest.fixture(scope="package")
async def place() -> AsyncIterator[Place]:
    async with made_place() as made:
        yield made


@pytest.fixture
def seed() -> int:
    """Another one each time; a failure tells it."""
    return random.SystemRandom().getrandbits(32)
