"""Settings come from the environment under the manual's names; arguments win; nothing secret shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sisu_kodo.config import ConfigError, load_config, package_version


def test_defaults_are_the_manuals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config()
    assert (config.port, config.admin_port) == (3000, 3001)
    assert config.sisu_home == tmp_path / ".sisu"
    assert config.workspaces == tmp_path / ".sisu" / "workspaces"
    assert config.database_url is None
    assert config.oc_mode is None
    assert config.sbx_mode is None
    assert config.sbx_queue_partition is None
    assert config.app_version == package_version()


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("PORT", "8080", "port", 8080),
        ("ADMIN_PORT", "0", "admin_port", 0),
        ("OC_MODE", "record", "oc_mode", "record"),
        ("SBX_MODE", "live", "sbx_mode", "live"),
        ("SBX_PROVIDER", "e2b", "sbx_provider", "e2b"),
        ("SBX_QUEUE_PARTITION", "true", "sbx_queue_partition", True),
        ("SBX_QUEUE_PARTITION", "false", "sbx_queue_partition", False),
        ("SBX_QUEUE_PARTITION", "", "sbx_queue_partition", None),
        ("DBOS__APPVERSION", "v7", "app_version", "v7"),
        ("DBOS_ENABLE_OTLP", "true", "enable_otlp", True),
        ("SISU_PG_BIN", "/opt/pg/bin", "pg_bin", Path("/opt/pg/bin")),
        ("DATABASE_URL", "postgresql://h/d", "database_url", "postgresql://h/d"),
        ("SISU_LISTEN_URL", "postgresql://h/d", "listen_url", "postgresql://h/d"),
        ("TRACE_BASE_URL", "http://t/{traceId}", "trace_base_url", "http://t/{traceId}"),
    ],
)
def test_a_variable_sets_its_field(
    variable: str, text: str, field: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(load_config(), field) == value


def test_an_argument_wins_and_none_is_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8080")
    assert load_config(port=9).port == 9
    assert load_config(port=None).port == 8080


def test_every_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "many")
    monkeypatch.setenv("OC_MODE", "guess")
    with pytest.raises(ConfigError, match=r"OC_MODE: .*; PORT: "):
        load_config()


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such setting: prot"):
        load_config(prot=1)


def test_settings_are_frozen_and_hide_their_secrets() -> None:
    config = load_config(database_url="postgresql://u:geheim@h/d", listen_url="postgresql://u:geheim@h/d")
    assert "geheim" not in repr(config)
    assert "geheim" not in str(config)
    with pytest.raises(ValidationError):
        setattr(config, "port", 1)  # noqa: B010


def test_a_faulty_variable_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "geheim")
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert "geheim" not in str(caught.value)
