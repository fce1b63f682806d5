"""The packages of `openapi/typescript`, installed once; a test that needs them runs its tools."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import fasteners
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "openapi" / "typescript"

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None,
    reason="node and npm are not installed: the TypeScript client cannot be tried",
)


def install() -> None:
    """As the lock file says, unless it is done. Workers of one run wait for each other."""
    lock, done = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    with fasteners.InterProcessLock(FOLDER / ".installing"):
        if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
            run("npm", "ci", seconds=300)


def run(*command: str | Path, seconds: int = 120) -> str:
    """What a command in the folder says. It must succeed."""
    done = subprocess.run(
        command,
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
