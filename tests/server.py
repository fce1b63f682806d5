"""Real processes: `okr` as a person runs it, and a server on a given database."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

OKR = Path(sys.executable).with_name("okr")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def serving(database_url: str, **settings: str) -> Iterator[str]:
    """The base URL of a server that is ready; it is stopped in the end, and must go cleanly."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app"]
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "OKR_ALLOW_UNDURABLE_DATABASE": "true",
        **settings,
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


def environment(**settings: str) -> dict[str, str]:
    """This process's, less what would lead `okr` elsewhere."""
    kept = {k: v for k, v in os.environ.items() if k != "DATABASE_URL" and k[:4] != "OKR_"}
    return {**kept, "COLUMNS": "200", **settings}


def run(folder: Path, *arguments: str | Path, **settings: str) -> tuple[int, str]:
    """Run `okr` to its end: its exit status, and all that it said."""
    done = subprocess.run(
        [OKR, *arguments],
        cwd=folder,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def imported(folder: Path, *arguments: str | Path) -> set[str]:
    """The packages that `okr` takes in for what it is told, which must end well."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", OKR, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    lines = (line.split("|") for line in done.stderr.splitlines() if "import time:" in line)
    return {line[-1].strip().partition(".")[0] for line in lines}


def serve(folder: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start `okr serve`; what it says goes to the file `out`. The process, and its base URL."""
    port = free_port()
    with (folder / "out").open("w") as out:
        server = subprocess.Popen(
            [OKR, "serve", "--port", str(port), *arguments],
            cwd=folder,
            env=environment(),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    base = f"http://127.0.0.1:{port}"
    wait_until_ready(base, server)
    return server, base


def stop(server: subprocess.Popen[bytes], how: signal.Signals) -> int:
    server.send_signal(how)
    return server.wait(timeout=30)
