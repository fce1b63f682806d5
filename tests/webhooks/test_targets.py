"""Where messages may go: what a URL leads to, whatever it is written like, and whenever asked."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import TypeAdapter, ValidationError

from app.application.webhooks.posting import Outcome, Poster
from app.application.webhooks.targets import PLAIN, REFUSED, TargetRefused, Targets
from app.domain.webhook import Url
from tests.webhooks.receiver import SECONDS, Receiver, Reply, receiving

LOOPBACK = (ip_network("127.0.0.0/8"),)


class Names:
    """What a name resolves to: one answer after the other, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def _post(targets: Targets, url: str, seconds: float = 15, body: bytes = b"{}") -> Outcome:
    return await Poster(targets, seconds).post(url, {"webhook-id": "1"}, body)


# Addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7",
        "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1",
        "2001:db8::1", "100::1", "3fff::1",
        # IPv4 addresses in other letters.
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "64:ff9b:1::808:808",
        "2002:7f00:1::", "2002:a00:1::1",
        "2001:0:7f00:1::", "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "nonsense", "",
    ],
)  # fmt: skip
def test_what_is_not_for_all_the_world_is_not_permitted(address: str) -> None:
    assert not Targets().permits(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"],
)
def test_what_all_the_world_reaches_is_permitted(address: str) -> None:
    assert Targets().permits(address)


def test_a_network_that_was_named_is_permitted_and_no_other_one() -> None:
    targets = Targets([ip_network("10.1.0.0/16"), ip_network("fd12::/16")])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1"):
        assert targets.permits(address)
        assert targets.is_named(address)
    for address in ("10.2.0.1", "127.0.0.1", "fd13::1", "::ffff:10.2.0.1"):
        assert not targets.permits(address)
    assert targets.permits("1.1.1.1")
    assert not targets.is_named("1.1.1.1")


# At registration --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/",
        "https://0x7f.1/", "https://017700000001/", "https://0/", "https://10.0.0.1:8443/x",
        "https://169.254.169.254/latest/meta-data/", "https://[::1]/", "https://[fe80::1]/",
        "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://localhost/",
        "https://LOCALHOST/", "https://app.localhost:3000/", "https://localhost./",
        "http://hooks.example.org/", "http://1.1.1.1/",
    ],
)  # fmt: skip
def test_what_can_be_told_from_the_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(TargetRefused) as refused:
        Targets().admit(url)
    assert refused.value.pointer == "/url"


def test_what_has_to_be_looked_up_is_admitted_for_the_moment() -> None:
    Targets().admit("https://hooks.example.org:8443/okr?a=b")
    Targets().admit("https://1.1.1.1/")
    named = Targets(LOOPBACK)
    for url in ("http://127.0.0.1:80/", "https://localhost/", "http://inside.example.org/"):
        named.admit(url)
    with pytest.raises(TargetRefused, match="Without TLS"):
        named.admit("http://1.1.1.1/")


_URL: TypeAdapter[str] = TypeAdapter(Url)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org", "https://hooks.example.org/", "http://a/b?c=d&e=%20",
        "https://xn--bcher-kva.example:65535/x", "https://[2606:4700::1111]:8443/", "https://1.1.1.1",
        "https://a_b.example/", "https://example.org/a;b=c,d/(e)'f'!*@$:+~",
    ],
)  # fmt: skip
def test_a_url_that_can_be_sent_to(url: str) -> None:
    assert _URL.validate_python(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.example.org", "ftp://example.org/", "file:///etc/passwd", "https://",
        "https:///x", "https://user:pass@example.org/", "https://user@example.org/",
        "https://example.org/#a", "https://example.org:0/", "https://example.org:65536/",
        "https://example.org:/", "https://exa mple.org/", "https://example.org/a b",
        "https://example.org/\r\nHost: x", "https://example.org\\@evil/", "https://b\xfccher.example",
        "https://-a.example/", "https://a..b/", "https://[::1", "https://[fe80::1%25eth0]/",
        "https://example.org?x", "https://" + "a" * 64 + ".example/",
        "https://example.org/" + "x" * 2000, "HTTPS://example.org/",
    ],
)  # fmt: skip
def test_a_url_that_is_none_of_those(url: str) -> None:
    with pytest.raises(ValidationError):
        _URL.validate_python(url)


# At each attempt --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["::1"], ["1.1.1.1", "10.0.0.1"], ["::ffff:169.254.169.254"], []],
)
async def test_a_name_that_leads_inside_is_refused(found: list[str]) -> None:
    targets = Targets(resolve=Names(found))
    outcome = await _post(targets, "https://hooks.example.org/")
    assert (outcome.status, outcome.error) == (None, REFUSED)
    # Whoever asks learns nothing about the network inside.
    assert not any(one in str(outcome) for one in found)


async def test_an_address_that_is_no_name_is_checked_at_each_attempt_too() -> None:
    async with receiving() as receiver:
        url = receiver.url
        for here in (url, url.replace("127.0.0.1", "127.1"), url.replace("127.0.0.1", "localhost")):
            outcome = await _post(Targets(), here.replace("http:", "https:"))
            assert outcome.error == REFUSED
        assert receiver.received == []


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """A name that changes its mind between the check and the connection has no say."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with receiving() as receiver:
        targets = Targets([ip_network("127.0.0.1/32")], names)
        outcome = await _post(targets, f"http://hooks.example.org:{receiver.port}/")
        assert outcome.has_arrived
        assert names.asked == 1
        (one,) = receiver.received
        assert one.headers["host"] == f"hooks.example.org:{receiver.port}"
        # The next attempt asks anew, and heeds what it is told then.
        again = await _post(targets, f"http://hooks.example.org:{receiver.port}/")
        assert (again.error, names.asked) == (REFUSED, 2)
        assert len(receiver.received) == 1


async def test_the_next_address_is_tried_where_nobody_answers() -> None:
    async with receiving() as receiver:
        targets = Targets(LOOPBACK, Names(["127.0.0.9", "127.0.0.1"]))
        outcome = await _post(targets, f"http://hooks.example.org:{receiver.port}/")
        assert outcome.has_arrived


async def test_without_tls_only_named_networks_are_sent_to() -> None:
    targets = Targets(LOOPBACK, Names(["1.1.1.1"]))
    assert (await _post(targets, "http://hooks.example.org/")).error == PLAIN


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver, receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await _post(Targets(LOOPBACK), receiver.url)).has_arrived
        assert (len(receiver.received), len(proxy.received)) == (1, 0)


async def test_a_name_that_does_not_resolve_is_told() -> None:
    outcome = await _post(Targets(), "https://nothing.invalid/")
    assert outcome.error is not None
    assert "cannot be resolved" in outcome.error
    too_long = ".".join(["a" * 60] * 6)
    assert (await _post(Targets(), f"https://{too_long}/")).error is not None


# Answers ----------------------------------------------------------------------------------


async def _outcome(receiver: Receiver, reply: Reply, seconds: float = 15) -> Outcome:
    receiver.reply = lambda _: reply
    return await _post(Targets(LOOPBACK), receiver.url, seconds)


async def test_a_redirect_is_a_failure_and_not_followed() -> None:
    async with receiving() as receiver, receiving() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            outcome = await _outcome(receiver, Reply(status, {"Location": elsewhere.url}))
            assert (outcome.status, outcome.has_arrived) == (status, False)
        assert elsewhere.received == []


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_success(status: int) -> None:
    async with receiving() as receiver:
        assert (await _outcome(receiver, Reply(status))).has_arrived


async def test_a_receiver_that_never_answers_is_given_up_in_time() -> None:
    async with receiving() as receiver:
        outcome = await _outcome(receiver, Reply(seconds=60), seconds=0.5)
        assert outcome.status is None
        assert outcome.error == "There was no answer within 0.5 seconds."


async def test_a_receiver_that_drips_its_answer_has_answered() -> None:
    async with receiving() as receiver:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"
        receiver.reply = lambda _: Reply(raw=head)
        outcome = await _post(Targets(LOOPBACK), receiver.url)
        assert (outcome.has_arrived, outcome.answer) == (True, "part")


async def test_what_is_answered_just_in_time_has_arrived_however_slow_its_body_is() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
        await asyncio.sleep(SECONDS)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    began = time.monotonic()
    outcome = await _post(Targets(LOOPBACK), f"http://127.0.0.1:{port}/", seconds=1)
    assert (outcome.has_arrived, outcome.status, outcome.answer) == (True, 200, "part")
    assert time.monotonic() - began < 10
    server.close()


async def test_an_answer_without_end_is_cut_off() -> None:
    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await writer.drain()
                poured[0] += 65536
        except OSError:
            writer.close()

    poured = [0]
    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await _post(Targets(LOOPBACK), f"http://127.0.0.1:{port}/")
    assert (outcome.status, outcome.answer) == (500, "x" * 1024)
    # What the kernel holds, and no more.
    assert poured[0] < 50_000_000
    server.close()


async def test_headers_without_end_are_a_failure() -> None:
    async with receiving() as receiver:
        raw = b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 1_000_000
        outcome = await _outcome(receiver, Reply(raw=raw))
        assert outcome.error is not None


async def test_a_retry_after_is_told() -> None:
    async with receiving() as receiver:
        outcome = await _outcome(receiver, Reply(429, {"Retry-After": "120"}))
        assert outcome.retry_after is not None
        assert timedelta(seconds=100) < outcome.retry_after - datetime.now(UTC)


# TLS --------------------------------------------------------------------------------------


@asynccontextmanager
async def _with_tls(folder: Path, name: str) -> AsyncIterator[tuple[Receiver, Path]]:
    """A receiver whose certificate is for a name, and the file to trust it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    async with receiving(ssl=context) as receiver:
        yield receiver, pem


async def test_tls_proves_the_name_although_the_connection_goes_to_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _with_tls(tmp_path, "hooks.example.org") as (receiver, pem):
        targets = Targets(LOOPBACK, Names(["127.0.0.1"]))
        here = f"https://hooks.example.org:{receiver.port}/"
        untrusted = await _post(targets, here)
        assert untrusted.error is not None
        assert "CERTIFICATE_VERIFY_FAILED" in untrusted.error
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        assert (await _post(targets, here)).has_arrived
        other = await _post(targets, here.replace("hooks.", "other."))
        assert other.error is not None
        assert "CERTIFICATE_VERIFY_FAILED" in other.error
        assert len(receiver.received) == 1


async def test_waiting_for_one_name_holds_up_no_other_work() -> None:
    async def never(host: str, port: int) -> Any:
        await asyncio.sleep(60)

    began = time.monotonic()
    outcome = await _post(Targets(resolve=never), "https://hooks.example.org/", seconds=0.2)
    assert outcome.error == "There was no answer within 0.2 seconds."
    assert time.monotonic() - began < 30


def test_the_addresses_above_are_addresses() -> None:
    assert ip_address("2001:0:4136:e378:8000:63bf:f5ff:fffe").version == 6
