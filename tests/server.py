"""A real server: uvicorn in a process of its own, on a database of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def serving(database_url: str) -> Iterator[str]:
    """The base URL of a server that is ready; it is stopped in the end, and must go cleanly."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app"]
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "OKR_ALLOW_UNDURABLE_DATABASE": "true",
    }
    server = subprocess.Popen(
        [*command, "--port", str(port), "--log-level", "warning"], env=environment
    )
    try:
        wait_until_ready(base, server)
        yield base
    finally:
        server.terminate()
        assert server.wait(timeout=15) in (0, -signal.SIGTERM)


def wait_until_ready(base: str, server: subprocess.Popen[bytes], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, "the server went away before it was ready"
        try:
            if httpx.get(f"{base}/health/ready", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{base} is not ready after {seconds} seconds")
