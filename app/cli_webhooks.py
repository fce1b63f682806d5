"""`okr webhooks listen`: a receiver on this machine, which says what is wrong with a message."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any

import typer

from app.terminal import complain, console

TOLERANCE_SECONDS = 300
"""How far a message's time may be from now, as Standard Webhooks recommends."""
_LARGEST = 5_000_000
_PATIENCE_SECONDS = 30
_SHOWN = 2_000
_ENDS = (signal.SIGINT, signal.SIGTERM)
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")

webhooks = typer.Typer(no_args_is_help=True, help="Webhooks, for whoever writes a receiver.")


class BadMessage(Exception):
    """A message that a receiver must not believe; it says why."""


@dataclass(frozen=True)
class Verifier:
    """Tells whether messages are from whoever has the secret, and sent just now."""

    secret: bytes

    @classmethod
    def of(cls, text: str) -> Verifier:
        """Raises ValueError for what is no secret."""
        prefix, _, encoded = text.partition("_")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if prefix != "whsec" or not key:
            raise ValueError("a secret is whsec_ and Base64, as it was shown at registration")
        return cls(key)

    def check(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Raise BadMessage unless one of the signatures is right, and the time is near."""
        from standardwebhooks import Webhook

        missing = [name for name in _HEADERS if name not in headers]
        if missing:
            raise BadMessage(f"no {', '.join(missing)}: this is no message of Standard Webhooks")
        id, stated, signatures = (headers[name] for name in _HEADERS)
        if not (stated.isascii() and stated.isdigit() and len(stated) < 12):
            raise BadMessage(f"webhook-timestamp is no number of seconds: {stated[:50]!r}")
        off = round(now - int(stated))
        if abs(off) > TOLERANCE_SECONDS:
            when = "ago" if off > 0 else "in the future"
            raise BadMessage(f"it was sent {abs(off)} s {when}: an old message, or a wrong clock")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise BadMessage("the body is no UTF-8: it was altered on the way") from None
        at = datetime.fromtimestamp(int(stated), UTC)
        right = Webhook(self.secret).sign(id, at, text)
        given = signatures.split()
        if not any(hmac.compare_digest(one.encode(), right.encode()) for one in given):
            known = sum(one.startswith("v1,") for one in given)
            raise BadMessage(
                f"none of its {known} signatures (v1) is by this secret: it is another webhook's, "
                "or was rotated, or the body was altered on the way"
            )


class _Listener(BaseHTTPRequestHandler):
    """Prints what it is sent, and answers."""

    verifier: Verifier | None = None
    answer = 204
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_SECONDS

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            self._send(411)
            return
        if len(length) > len(str(_LARGEST)) or int(length) > _LARGEST:
            self._send(413)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = self.answer
        try:
            if self.verifier is not None:
                self.verifier.check(headers, body, time.time())
        except BadMessage as bad:
            status = 400
            complain(f"{_title(headers, body)}: {bad}. Answered {status}.")
        else:
            signed = "not checked" if self.verifier is None else "signed"
            console.print(f"{_title(headers, body)}: {signed}. Answered {status}.", markup=False)
        console.print(_pretty(body), markup=False, soft_wrap=True)
        self._send(status)

    def _send(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Of each message there is a line already."""


def _title(headers: Mapping[str, str], body: bytes) -> str:
    try:
        kind = str(json.loads(body)["type"])
    except (ValueError, KeyError, TypeError, RecursionError):
        kind = "no message"
    return _plain(f"{kind[:100]} {headers.get('webhook-id', '')[:100]}".strip())


def _pretty(body: bytes) -> str:
    try:
        shown = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        shown = body.decode("utf-8", "replace")
    return _plain(shown[:_SHOWN]) + ("\n..." if len(shown) > _SHOWN else "")


def _plain(text: str) -> str:
    """What others send is no command to a terminal."""
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)


@webhooks.command()
def listen(
    port: Annotated[int, typer.Option(help="On loopback; 0: any that is free.")] = 8765,
    secret: Annotated[
        str | None,
        typer.Option(envvar="OKR_WEBHOOK_SECRET", help="To verify signatures with: whsec_... ."),
    ] = None,
    answer: Annotated[
        int, typer.Option(min=200, max=599, help="The status that messages are answered with.")
    ] = 204,
) -> None:
    """Receive messages on this machine, print each, and say what is wrong with a bad one.

    The server has to be allowed to send to it: OKR_WEBHOOK_NETWORKS=127.0.0.0/8.
    """
    try:
        verifier = None if secret is None else Verifier.of(secret)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--secret") from error
    handler = type("Listener", (_Listener,), {"verifier": verifier, "answer": answer})
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        complain(f"Cannot listen on port {port} ({error}); choose another with --port.")
        raise typer.Exit(1) from error
    # Waited for, not raised: an interrupt raised while Python tidies a thread away is lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"http://127.0.0.1:{server.server_address[1]}/"
        console.print(f"Listening on {where} (Ctrl-C ends it).", soft_wrap=True)
        if verifier is None:
            console.print("Signatures are not checked: give --secret whsec_... .")
        signal.sigwait(_ENDS)
        server.shutdown()
    console.print("Ended.")
