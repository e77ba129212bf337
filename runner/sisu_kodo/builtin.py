"""The recipes that ship with the program: packages under `sisu_kodo.handlers` with a recipe.json."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from psycopg import Connection

from .config import load_config
from .models import JSON
from .queries import query
from .registry import builtin_packages


def recipes() -> list[dict[str, JSON]]:
    """The built-in recipes, as `app.put_recipe` takes them, in alphabetical order of their packages."""
    found = []
    for package in builtin_packages():
        file = files(package).joinpath("recipe.json")
        if file.is_file():
            found.append(json.loads(file.read_text(encoding="utf-8")))
    return found


def register_recipes(connection: Connection[Any]) -> list[str]:
    """Put the built-in recipes and activate what is new. Returns the names of those activated.

    A version that an operator activated or retired stays as it is; the default recipe is set only where none
    is. New runs that do not say otherwise get this program's app version (DBOS__APPVERSION), and the modes of
    OC_MODE and SBX_MODE where those are set.
    """
    activated = []
    with connection.transaction():
        known = recipes()
        for recipe in known:
            put = _value(connection, "put_recipe", recipe=json.dumps(recipe))
            if put["status"] == "draft":
                _value(connection, "activate_recipe", name=put["name"], version=put["version"])
                activated.append(put["name"])
        if known and _value(connection, "setting", key="default_recipe") is None:
            _value(connection, "put_setting", key="default_recipe", value=json.dumps(known[0]["name"]))
        config = load_config()
        pinned = {"app_version": config.app_version, "oc_mode": config.oc_mode, "sbx_mode": config.sbx_mode}
        for key, value in pinned.items():
            if value is not None:
                _value(connection, "put_setting", key=key, value=json.dumps(value))
    return activated


def _value(connection: Connection[Any], statement: str, /, **arguments: Any) -> Any:
    row = connection.execute(query(statement), arguments).fetchone()
    return row[0] if row else None
