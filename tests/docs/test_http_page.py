"""docs/http.md and the settings of docs/operations.md say what there is, and all of it."""

from __future__ import annotations

import re
from typing import Any

from psycopg import Connection

from sisu_kodo.config import Config
from sisu_kodo.http.app import Application
from sisu_kodo.http.settings import HttpSettings
from sisu_kodo.http.tokens import ROLES
from sisu_kodo.queries import query
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")


def described(conn: Connection[Any]) -> dict[str, Any]:
    row = conn.execute(query("arguments")).fetchone()
    assert row is not None
    return Application(HttpSettings("dsn"), row[0]).document()


def test_every_route_stands_there_with_its_success(conn: Connection[Any]) -> None:
    rows = re.findall(r"^\| `(GET|POST) (\S+)`[^|]*\| (\d{3})[^|]*\|", PAGE, re.MULTILINE)
    document = described(conn)
    routes = {
        (method.upper(), path): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert {(method, path) for method, path, _ in rows} == set(routes)
    assert [row for row in rows if row[2] not in routes[row[0], row[1]]["responses"]] == []


def test_a_body_stands_there_with_its_required_fields(conn: Connection[Any]) -> None:
    document = described(conn)
    for method, path, body in re.findall(r"^\| `(GET|POST) (\S+)` `\{([^`]*)\}`", PAGE, re.MULTILINE):
        reference = document["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]
        schema = document["components"]["schemas"][reference["schema"]["$ref"].rpartition("/")[2]]
        fields = [word for word in body.split(", ") if word != "…"]
        assert {word for word in fields if not word.endswith("?")} == set(schema["required"]), path
        assert {word.rstrip("?") for word in fields} <= set(schema["properties"]), path
        if "…" not in body:
            assert {word.rstrip("?") for word in fields} == set(schema["properties"]), path


def test_every_role_is_explained() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE)) >= set(ROLES)


def test_every_setting_is_in_the_table_of_operations() -> None:
    table = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("\n## Processes")[0]
    variables = {str(field.validation_alias) for field in Config.model_fields.values()}
    assert variables - set(re.findall(r"`([A-Z][A-Z0-9_]+)`", table)) == set()
