"""The key that checkpoints are signed with: in a file, and never in the database it vouches for."""

from __future__ import annotations

import os
from pathlib import Path

from app.config import Settings
from app.evidence.notes import NotANote, SigningKey


class SigningKeyUnfit(Exception):
    """The file of OKR_SIGNING_KEY_FILE holds no key; the message says what to do."""


def signing_key(settings: Settings) -> SigningKey | None:
    """The key that the settings name; None where they name none. Raises SigningKeyUnfit."""
    path = settings.signing_key_file
    if path is None:
        return None
    try:
        return SigningKey.parse(path.read_text())
    except (OSError, NotANote, UnicodeDecodeError) as error:
        raise SigningKeyUnfit(
            f"OKR_SIGNING_KEY_FILE: {path} holds no signing key ({error}); make one with "
            "`okr signing-key NAME`."
        ) from error


def make_key_file(path: Path, name: str) -> SigningKey:
    """A fresh key in a file that only its owner reads. Raises FileExistsError."""
    key = SigningKey.make(name)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(key.to_text() + "\n")
    return key
