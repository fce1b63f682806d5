"""Signatures, held against what Standard Webhooks itself shows."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.application.webhooks import signing

ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def _bytes(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(signing.PREFIX))


def test_the_vector_of_the_specification_is_signed_as_it_says() -> None:
    assert signing.headers([_bytes(SECRET)], ID, AT, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_a_signature_is_hmac_sha256_over_id_time_and_body() -> None:
    made = hmac.new(_bytes(SECRET), f"{ID}.1614265330.".encode() + BODY, hashlib.sha256)
    assert f"v1,{base64.b64encode(made.digest()).decode()}" == SIGNATURE


def test_a_fraction_of_a_second_changes_nothing() -> None:
    later = AT.replace(microsecond=999_999)
    assert signing.headers([_bytes(SECRET)], ID, later, BODY)["webhook-signature"] == SIGNATURE


def test_every_secret_signs_and_each_receiver_finds_its_own() -> None:
    secrets = [signing.make_secret() for _ in range(3)]
    body = '{"name": "Størst"}'.encode()
    headers = signing.headers(secrets, ID, datetime.now(UTC), body)
    assert len(headers["webhook-signature"].split(" ")) == 3
    for secret in secrets:
        assert Webhook(signing.shown(secret)).verify(body, headers) == {"name": "Størst"}
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.shown(signing.make_secret())).verify(body, headers)


def test_a_secret_has_as_many_bytes_as_the_specification_wants() -> None:
    shown = {signing.shown(signing.make_secret()) for _ in range(100)}
    assert len(shown) == 100
    for secret in shown:
        assert secret.startswith("whsec_")
        assert 24 <= len(_bytes(secret)) <= 64
