"""A form with a value that cannot be stored comes back with the field's name, and nothing was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sisu_kodo.ui import ROUTERS
from tests.http.http_support import Api, everything, put_recipes, serving, work


@pytest.fixture
def pages(dsn: str, conn: psycopg.Connection[Any]) -> Iterator[Api]:
    put_recipes(conn)
    with serving(dsn, ROUTERS) as running:
        yield running


@pytest.mark.parametrize("value", [r'"\u0000"', r'"\ud800"', "NaN", "Infinity", "1e999"])
def test_each_form_names_its_field(pages: Api, conn: psycopg.Connection[Any], value: str) -> None:
    run = pages.run(recipe="gated")
    work(conn)
    conn.execute("select app.approve_plan(%s, 'ann')", [run])
    work(conn)
    body = f'{{"a": {value}}}'
    by = {"wid": run, "name": "ann", "reason": "why"}
    forms = {
        "/ui/start": ("inputs", {"recipe": "plain", "version": "1", "goal": "g", **by}),
        "/ui/fork": ("inputs", {"step_n": "1", **by}),
        "/ui/gate": ("payload", {"gate": "size", **by}),
    }
    before = everything(conn)
    for path, (field, form) in forms.items():
        answer = pages.http.post(path, data={**form, field: body}, headers={"origin": pages.url})
        assert answer.status_code == 400, (path, answer.text)
        assert f"request: {field}" in answer.text, path
        assert f'action="{path}"' in answer.text, path
    assert everything(conn) == before
