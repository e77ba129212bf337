"""Writes docs/reference.md from the catalog of an installed database.

`make docs` runs it. Source: comments on functions, views and columns, the grants, app.v_arguments,
app.v_state_machine. tests/docs proves that the page is current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import psycopg

from sisu_kodo.config import load_config
from sisu_kodo.database import ensure_up

ROLES = ("app_api", "app_worker", "app_ops", "app_read")

FUNCTIONS = """
select p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
  obj_description(p.oid, 'pg_proc'), g.roles
from pg_proc p
  cross join lateral (
    select array_agg(r.rolname::text order by r.rolname) from pg_roles r
    where r.rolname = any (%(roles)s) and has_function_privilege(r.oid, p.oid, 'execute')) g (roles)
where p.pronamespace = 'app'::regnamespace and p.prosecdef and g.roles is not null
order by 1
"""
VIEWS = """
select format('%s.%s', n.nspname, c.relname), obj_description(c.oid, 'pg_class'),
  array(
    select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 order by a.attnum)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('app', 'dbos') and c.relkind = 'v' and has_table_privilege('app_read', c.oid, 'select')
order by 1
"""
STATES = """
select from_status, to_status, action from app.v_state_machine where entity = %(entity)s
order by from_status <> '', array_position(array['ENQUEUED', 'PENDING', 'WAITING_INPUT'], from_status), 1, 2
"""
TABLES = """
select c.relname, obj_description(c.oid, 'pg_class'), (
  select json_agg(json_build_array(
    a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)) order by a.attnum)
  from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
from pg_class c
where c.relnamespace = 'app'::regnamespace and c.relkind = 'r' and c.relname <> 'alembic_version'
order by 1
"""
ARGUMENTS = """
select shape, path, type, required, lowest, highest, pattern, one_of
from (select a.*, row_number() over () as place from app.v_arguments a) a order by shape, place
"""


def pages(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """The lines of the page."""
    yield "# Reference"
    yield ""
    yield "Generated from the catalog by `make docs`. The same text is in the database: `\\df+ app.*`,"
    yield "`\\d+ app.*`, `select * from app.v_arguments`."
    yield ""
    yield from _states(connection)
    yield ""
    yield "## Functions"
    functions = connection.execute(FUNCTIONS, {"roles": list(ROLES)}).fetchall()
    for name, arguments, result, comment, roles in functions:
        yield ""
        yield f"### app.{name}"
        yield ""
        yield f"`({arguments})` → `{result}` — {', '.join(roles)}"
        yield ""
        yield comment
    yield ""
    yield "## Arguments"
    yield ""
    yield "Shapes are closed: a field that is not listed is a fault. Bounds are of a number, of the length"
    yield "of a text, of the size of an array."
    shape = None
    for row in connection.execute(ARGUMENTS).fetchall():
        if row[0] != shape:
            shape = row[0]
            yield ""
            yield f"### {shape}"
            yield ""
            yield "| field | type | required | allowed |"
            yield "|---|---|---|---|"
        kind, required = row[2].replace("|", " or "), "yes" if row[3] else ""
        yield f"| `{row[1]}` | {kind} | {required} | {_allowed(*row[4:])} |"
    yield ""
    yield "## Views"
    for name, comment, columns in connection.execute(VIEWS).fetchall():
        yield ""
        yield f"### {name}"
        yield ""
        yield comment
        yield ""
        yield ", ".join(f"`{column}`" for column in columns)
    yield ""
    yield "## Tables"
    yield ""
    yield "Nobody but the functions writes them; they are listed so that a query can be understood."
    for name, comment, columns in connection.execute(TABLES).fetchall():
        yield ""
        yield f"### app.{name}"
        yield ""
        yield comment
        yield ""
        yield "| column | type | |"
        yield "|---|---|---|"
        for column, kind, text in columns:
            yield f"| `{column}` | {kind} | {text} |"


def _states(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """The diagrams of the state machines, drawn from app.v_state_machine."""
    yield "## States"
    for entity, title in (("run", "A run"), ("step", "An attempt of a step or of a task")):
        yield ""
        yield f"{title}:"
        yield ""
        yield "```mermaid"
        yield "stateDiagram-v2"
        for before, after, action in connection.execute(STATES, {"entity": entity}).fetchall():
            yield f"  {before or '[*]'} --> {after}: {action}"
        yield "```"


def _allowed(lowest: Any, highest: Any, pattern: str | None, one_of: list[str] | None) -> str:
    words = []
    if one_of:
        words.append(", ".join(f"`{word}`" for word in one_of))
    if lowest is not None or highest is not None:
        words.append(f"{lowest} to {highest}")
    if pattern == r"\S":
        words.append("not blank")
    elif pattern:
        words.append("`" + pattern.replace("|", "\\|") + "`")
    return "; ".join(words)


def reference(dsn: str) -> str:
    """The whole page as Markdown."""
    with psycopg.connect(dsn) as connection:
        return "\n".join(pages(connection)) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference(ensure_up(load_config())))
