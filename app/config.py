"""Settings, all from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """`DATABASE_URL` names a Postgres (14 or newer); without it an embedded one is started."""

    model_config = SettingsConfigDict(env_prefix="OKR_", extra="ignore")

    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL")
    data_dir: Path = Path(".okr")
    """Where the embedded Postgres keeps its data, relative to the working directory."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)

    pool_size: int = Field(default=10, ge=1, le=500)
    """Connections of one server process."""

    command_timeout: float = Field(default=15.0, gt=0)
    """Seconds before a statement is given up."""

    max_body_bytes: int = Field(default=2_000_000, ge=1_000)
    max_import_bytes: int = Field(default=20_000_000, ge=1_000)

    allow_undurable_database: bool = False
    """Serve from a database that may lose commits in a crash: for throw-away data only."""
