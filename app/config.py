"""Settings, all from the environment."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


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
    batches_span_ledgers: bool = True
    """Whether one transaction may write to several ledgers; not where nodes share them out."""
    max_kept_events: int = Field(default=500_000, ge=1_000)
    """Events in the states of goals that one process keeps: less than 1 kB of memory each."""

    command_timeout: float = Field(default=15.0, gt=0)
    """Seconds before a statement of verification or erasure is given up."""
    request_timeout: float = Field(default=4.0, gt=0, le=60)
    """Seconds for a request; where it is long work, for each of its statements."""
    long_request_timeout: float = Field(default=300.0, gt=0, le=3600)
    """Seconds for an import, a verification, an erasure, a look into the past."""
    max_at_work: int = Field(default=20, ge=1, le=1000)
    """Requests that read, at work at once in one process; long work has places of its own."""
    max_writing: int = Field(default=64, ge=1, le=1000)
    """Requests that write, at once in one process. They share transactions and connections."""
    max_waiting: int = Field(default=200, ge=0, le=10_000)
    """Requests of one kind that wait for a place; the next one is refused at once."""
    max_wait: float = Field(default=2.0, gt=0, le=60)
    """Seconds that one may wait; then it is refused."""

    max_streams: int = Field(default=100, ge=0, le=10_000)
    """Event streams that one process has open at once."""
    max_streams_per_caller: int = Field(default=10, ge=1, le=10_000)
    """Of these, those of one credential."""
    stream_heartbeat: float = Field(default=15.0, gt=0, le=300)
    """Seconds after which an event stream that has nothing to tell says that it is there."""
    stream_stall: float = Field(default=30.0, gt=0, le=300)
    """Seconds that the reader of an event stream may take nothing; then it is closed."""

    max_bundles: int = Field(default=20, ge=0, le=10_000)
    """Bundles that one process sends at once."""
    max_bundles_per_caller: int = Field(default=4, ge=1, le=10_000)
    """Of these, those of one credential."""

    max_body_bytes: int = Field(default=2_000_000, ge=1_000)
    max_import_bytes: int = Field(default=20_000_000, ge=1_000)
    max_url_bytes: int = Field(default=8_192, ge=1_000)
    """Of path and query together."""
    max_header_bytes: int = Field(default=65_536, ge=4_096)
    """Of all headers together."""
    head_seconds: float = Field(default=10.0, gt=0)
    """Until a request's headers are there (`okr serve` only: another server has its own)."""
    body_seconds: float = Field(default=60.0, gt=0)
    """Until a request's body is there."""
    keep_alive_seconds: int = Field(default=5, ge=1)
    """An idle connection is closed after that (`okr serve` only)."""

    rate_per_minute: int = Field(default=30_000, ge=0)
    """Requests of one credential to one process; 0 means no limit."""
    rate_failed_per_minute: int = Field(default=300, ge=0)
    """Wrong keys and tokens from one address to one process; 0 means no limit."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Whose pages may use the API, apart by spaces or commas: `https://okr.example.org`."""
    hsts_seconds: int = Field(default=0, ge=0)
    """For how long browsers shall insist on TLS: only where there is TLS before this server."""

    log: Literal["json", "text"] = "json"
    metrics_open: bool = False
    """Show /metrics to whoever asks; else it takes an operator's key."""

    signing_key_file: Path | None = None
    """Where the key is that checkpoints are signed with; the embedded database makes its own."""

    oidc_issuer: str | None = None
    """An OpenID Connect provider whose tokens are believed, exactly as `iss` says it."""
    oidc_audience: str = "okr-ledger"
    """What `aud` must hold."""
    oidc_jwks_url: str | None = None
    """Where the provider's keys are; without it, its discovery document is asked."""

    webhook_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks that webhooks may be in although they are private, by http too: `10.0.0.0/8`."""

    allow_undurable_database: bool = False
    """Serve from a database that may lose commits in a crash: for throw-away data only."""

    @field_validator("cors_origins", "webhook_networks", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if origin != f"{parts.scheme}://{parts.netloc}" or "*" in origin or not parts.hostname:
                raise ValueError(f"{origin!r} is no origin, such as https://okr.example.org")
        return value
