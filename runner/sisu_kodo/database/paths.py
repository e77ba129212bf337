"""Where db/ and migrations/ are: inside the installed wheel, or at the root of an editable checkout."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from .errors import DatabaseError

_PACKAGE = Path(__file__).resolve().parents[1]


def _find(shipped: str, source: str, proof: str) -> Path:
    for place in (_PACKAGE / shipped, _PACKAGE.parents[1] / source):
        if (place / proof).exists():
            return place
    raise DatabaseError(f"the folder {source}/ is missing beside the program", "reinstall sisu-kodo")


def sql_dir() -> Path:
    """The folder of install.sql and the files it names."""
    return _find("_db", "db", "install.sql")


def migrations_dir() -> Path:
    """Alembic's script location."""
    return _find("_migrations", "migrations", "env.py")


@cache
def replay_module() -> ModuleType:
    """migrations/replay.py as a module; it lies beside the revisions, outside of the package."""
    name = "sisu_kodo_replay"
    spec = importlib.util.spec_from_file_location(name, migrations_dir() / "replay.py")
    if spec is None or spec.loader is None:
        raise DatabaseError("migrations/replay.py cannot be loaded", "reinstall sisu-kodo")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module
