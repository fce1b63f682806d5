"""`okr webhooks listen`: what a developer is told of each message."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.application.webhooks import signing
from app.cli_webhooks import BadMessage, Verifier
from tests.server import OKR, environment, run

SECRET = signing.shown(b"s" * 24)
BODY = b'{"type":"team.formed","timestamp":"2026-02-15T12:00:00Z","data":{"name":"Vekst \xc3\xb8"}}'


def _headers(body: bytes = BODY, at: datetime | None = None, *secrets: bytes) -> dict[str, str]:
    return signing.headers(secrets or (b"s" * 24,), "msg_1", at or datetime.now(UTC), body)


# What it says -----------------------------------------------------------------------------


def _complaint(headers: dict[str, str], body: bytes = BODY) -> str:
    with pytest.raises(BadMessage) as bad:
        Verifier.of(SECRET).check(headers, body, time.time())
    return str(bad.value)


def test_a_good_message_is_believed_by_any_of_its_signatures() -> None:
    now = datetime.now(UTC)
    for secrets in ((b"s" * 24,), (b"new" * 9, b"s" * 24)):
        Verifier.of(SECRET).check(_headers(BODY, now, *secrets), BODY, now.timestamp())


def test_what_is_wrong_with_a_message_is_said() -> None:
    assert "webhook-signature" in _complaint({"webhook-id": "1", "webhook-timestamp": "1"})
    assert "another webhook's" in _complaint(_headers(BODY, None, b"x" * 24))
    assert "altered" in _complaint(_headers(), BODY.replace(b"formed", b"found"))
    assert "altered" in _complaint(_headers(), b"\xff")
    now = datetime.now(UTC)
    assert "s ago" in _complaint(_headers(at=now - timedelta(minutes=6)))
    assert "in the future" in _complaint(_headers(at=now + timedelta(minutes=6)))
    assert "no number" in _complaint({**_headers(), "webhook-timestamp": "soon"})
    for strange in ("", "v1", "v1,", "v1,\xe9", "v2,abc", ",,,"):
        assert "none of its" in _complaint({**_headers(), "webhook-signature": strange})


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!", "okr_c2VjcmV0", "c2VjcmV0"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        Verifier.of(text)


# The command ------------------------------------------------------------------------------


@contextmanager
def _listening(folder: Path, *arguments: str) -> Iterator[tuple[str, Path]]:
    """Where it listens, and the file of all that it says."""
    said = folder / "said"
    with said.open("w") as out:
        command = [str(OKR), "webhooks", "listen", "--port", "0", *arguments]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(PYTHONUNBUFFERED="1"),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + 60
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/", said.read_text())):
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < end, "it does not listen"
            time.sleep(0.05)
        yield found[0], said
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, said.read_text()


def test_messages_are_printed_and_answered(tmp_path: Path) -> None:
    with _listening(tmp_path, "--secret", SECRET) as (url, said):
        assert httpx.post(url, content=BODY, headers=_headers()).status_code == 204
        forged = _headers(BODY, None, b"x" * 24)
        assert httpx.post(url, content=BODY, headers=forged).status_code == 400
        assert httpx.post(url, content=b"nonsense").status_code == 400
        evil = b'{"type":"\\u001b[31mred"}'
        assert httpx.post(url, content=evil, headers=_headers(evil)).status_code == 204
    told = said.read_text()
    assert "team.formed msg_1: signed. Answered 204." in told
    assert '"name": "Vekst ø"' in told
    assert "another webhook's" in told
    assert "no message: no webhook-id" in told
    assert "\x1b" not in told


@pytest.mark.parametrize(
    ("length", "status"),
    [("", 411), ("-1", 411), ("\xb2", 411), ("5000001", 413), ("9" * 5_000, 413)],
)
def test_a_body_of_no_length_or_too_long_a_one_is_refused(
    tmp_path: Path, length: str, status: int
) -> None:
    with _listening(tmp_path) as (url, said):
        where = urlsplit(url)
        with socket.create_connection((str(where.hostname), int(where.port or 0))) as sent:
            head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
            sent.sendall(head.encode("latin-1"))
            sent.settimeout(30)
            answer = sent.recv(1_000).decode()
        assert answer.startswith(f"HTTP/1.1 {status} "), answer
        assert "Traceback" not in said.read_text()


def test_it_answers_what_it_is_told_to(tmp_path: Path) -> None:
    with _listening(tmp_path, "--answer", "503") as (url, said):
        assert httpx.post(url, content=BODY).status_code == 503
        assert "not checked" in said.read_text()


def test_a_bad_secret_and_a_taken_port_are_told(tmp_path: Path) -> None:
    status, told = run(tmp_path, "webhooks", "listen", "--secret", "nonsense")
    assert (status, "whsec_" in told) == (2, True)
    with _listening(tmp_path) as (url, _):
        port = url.rsplit(":", 1)[1].strip("/")
        status, told = run(tmp_path, "webhooks", "listen", "--port", port)
        assert (status, "choose another with --port" in told) == (1, True)
