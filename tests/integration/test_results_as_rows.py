"""What a runner writes as rows of `app.result` is what Postgres reads, whatever is in it."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sisu_kodo.lanes import Lane
from sisu_kodo.models import JSON, Assignment
from sisu_kodo.results import as_array, result_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NASTY = st.sampled_from(['"', "\\", '\\"', *",(){} \n\t", "null", "NULL", "", "ä", "\u2028"])
NAMES = TEXTS | st.lists(NASTY, max_size=8).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
REPORTS = st.fixed_dictionaries(
    {"status": st.sampled_from(["SUCCESS", "ERROR", "WAITING"])},
    optional={
        "output": VALUES,
        "receipt": st.booleans(),
        "tasks": st.lists(VALUES, max_size=3),
        "artifacts": st.lists(VALUES, max_size=2),
        "error": st.dictionaries(NAMES, VALUES, max_size=2),
        "wait": st.dictionaries(NAMES, VALUES, max_size=2),
    },
)
LANES = st.tuples(NAMES, NAMES, NAMES, st.integers(1, 2**60), st.integers(0, 9), st.integers(0, 99))
READ = """
    select ordinality, run_id, task_key, queue_name, msg_id, read_ct, idx, attempt, status, span_id,
      coalesce(receipt, false), output, tasks, artifacts, error, wait
    from unnest(%s::app.result[]) with ordinality order by 1"""
JSONS = ("output", "tasks", "artifacts", "error", "wait")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(st.tuples(LANES, REPORTS), min_size=1, max_size=4))
def test_postgres_reads_what_a_runner_writes(
    conn: psycopg.Connection[Any], sent: list[tuple[tuple[Any, ...], dict[str, JSON]]]
) -> None:
    texts = []
    for (run_id, task_key, queue, msg_id, read_ct, idx), report in sent:
        step: tuple[Any, ...] = ("S", idx, task_key, 1, queue, msg_id, read_ct, "h", None, "{}", None)
        texts.append(result_of(Lane(Assignment("assigned", run_id, *step)), report).text)
    rows = conn.execute(READ, [as_array(texts)]).fetchall()
    expected = [
        (
            *(number, run_id, task_key, queue, msg_id, read_ct, idx, 1, report["status"], None),
            bool(report.get("receipt")),
            *(json.loads(json.dumps(report.get(name))) for name in JSONS),
        )
        for number, ((run_id, task_key, queue, msg_id, read_ct, idx), report) in enumerate(sent, 1)
    ]
    assert rows == expected
