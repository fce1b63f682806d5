"""The tree by SQL: one recursive query that returns the whole nested document."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.common import BenchmarkFailed
from benchmarks.goals import Goals

_QUERY = Path(__file__).with_name("tree.sql").read_text()


@dataclass(frozen=True, slots=True)
class SqlTree:
    runner: asyncio.Runner
    conn: asyncpg.Connection[asyncpg.Record]
    goals: Goals

    def read(self) -> str:
        """The document, over a connection that is there already."""
        asked = self.conn.fetchval(_QUERY, self.goals.org_id, self.goals.cycle_id)
        return str(self.runner.run(asked))

    def timed(self) -> float:
        began = time.perf_counter()
        self.read()
        return time.perf_counter() - began

    def demand_same(self, answer: bytes) -> None:
        """Raises BenchmarkFailed unless the product's tree says the same, figure by figure."""
        theirs, ours = _told(json.loads(self.read())), _told(json.loads(answer))
        if theirs != ours:
            raise BenchmarkFailed("The tree by SQL is not the tree of the product.")


def _told(tree: dict[str, Any]) -> list[Any]:
    """What is below what, with titles, owners and figures."""
    return [_node(node) for node in tree["roots"]]


def _node(node: dict[str, Any]) -> tuple[Any, ...]:
    names = ("id", "version", "title", "owner", "progress", "confidence", "score", "health")
    parts = [tuple(part[name] for name in names if name != "owner") for part in node["key_results"]]
    links = [(link["id"], link["target"]) for link in node["contributes_to"]]
    own = tuple(node[name] for name in names)
    return (*own, parts, links, [_node(child) for child in node["children"]])


@contextmanager
def sql_tree(owner_url: str, goals: Goals) -> Iterator[SqlTree]:
    with asyncio.Runner() as runner:
        conn = runner.run(_connected(owner_url))
        try:
            yield SqlTree(runner, conn, goals)
        finally:
            runner.run(conn.close())


async def _connected(url: str) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(url)
