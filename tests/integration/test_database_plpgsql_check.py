"""plpgsql_check, where the server has it (Debian's Postgres 15 in CI), finds nothing in our functions."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

# A trigger function is checked once for every table it serves.
FINDINGS = """
    select p.oid::regprocedure::text || ': ' || finding
      from pg_proc p
      join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
      left join pg_trigger t on t.tgfoid = p.oid
     cross join lateral plpgsql_check_function(
             p.oid, coalesce(t.tgrelid, 0), fatal_errors => false, newtable => t.tgnewtable) as finding
     where p.pronamespace = 'app'::regnamespace
       and (p.prorettype <> 'trigger'::regtype or t.oid is not null)
"""


def test_plpgsql_check_is_silent(conn: Connection[Any]) -> None:
    if not conn.execute("select 1 from pg_available_extensions where name = 'plpgsql_check'").fetchone():
        pytest.skip("this server does not offer plpgsql_check")
    conn.execute("create extension plpgsql_check")
    findings = [text for (text,) in conn.execute(FINDINGS).fetchall()]
    assert not findings, "\n".join(findings)
