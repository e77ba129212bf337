"""Several runners look after schedules at the same moment: a tick starts one run, and nobody waits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from .races_support import at_once, broken_laws, one, recipe, register, wait_until_blocked, work

Connect = Callable[..., Connection[Any]]
TICKS = "select name, tick_at, outcome from app.schedule_ticks order by 1, 2"
ADVANCE = "select app.advance(date_trunc('hour', app.now()) + %s::interval - app.now())"


@pytest.fixture
def hourly(conn: Connection[Any]) -> Callable[..., None]:
    """Puts schedules of these names, each with a tick at every hour."""
    recipe(conn, "plain", {})

    def put(*names: str, **more: Any) -> None:
        for name in names:
            intent = {"goal": "tick", "inputs": {}, "constraints": {}}
            schedule = {"name": name, "cron": "@hourly", "intent": intent, "options": {"recipeName": "plain"}}
            conn.execute("select app.put_schedule(%s, 'ann', 'test')", [Jsonb({**schedule, **more})])

    return put


def look_after(connection: Connection[Any], worker: str) -> None:
    work(connection, worker, recover=True)


def test_a_tick_starts_one_run_whoever_looks(
    conn: Connection[Any], connect: Connect, hourly: Callable[..., None]
) -> None:
    hourly("a", "b", "c", "d", catchUp="all")
    workers = [(connect(), f"w{n}") for n in range(6)]
    for connection, worker in workers:
        register(connection, worker)
    for hours in (1, 1, 4, 1):  # in the third round three ticks are missed
        one(conn, ADVANCE, f"{hours} hours 1 second")
        answers = at_once(*(lambda c=c, w=w: look_after(c, w) for c, w in workers))
        assert answers == [None] * len(workers)
    assert one(conn, "select count(*) from app.schedule_ticks") == 4 * 7
    assert one(conn, "select count(*) from app.schedule_ticks where outcome = 'started'") == 4 * 7
    assert one(conn, "select count(*) from app.runs") == 4 * 7
    assert one(conn, "select count(*) from app.artifacts where step_id = 'ScheduledTick'") == 4 * 7
    assert one(conn, "select count(*) from app.run_steps where queue_seq is not null") == 4 * 7
    assert broken_laws(conn) == []


@pytest.mark.parametrize("lost", [False, True])
def test_who_comes_second_does_not_wait(
    conn: Connection[Any], connect: Connect, hourly: Callable[..., None], lost: bool
) -> None:
    hourly("a")
    first, second = connect(autocommit=False), connect()
    for connection, worker in ((conn, "w1"), (second, "w2")):
        register(connection, worker)
    one(conn, ADVANCE, "1 hour 1 second")
    look_after(first, "w1")
    second.execute("set statement_timeout = '5s'")
    look_after(second, "w2")
    assert one(conn, "select count(*) from app.schedule_ticks") == 0, "the first has not committed"
    if lost:
        first.rollback()
    else:
        first.commit()
    assert one(conn, "select count(*) from app.schedule_ticks") == (0 if lost else 1)
    look_after(second, "w2")
    assert [(name, outcome) for name, _, outcome in conn.execute(TICKS).fetchall()] == [("a", "started")]
    assert one(conn, "select count(*) from app.runs") == 1
    assert broken_laws(conn) == []


def test_a_schedule_that_is_being_paused_does_not_tick(
    conn: Connection[Any], connect: Connect, hourly: Callable[..., None]
) -> None:
    hourly("a", "b")
    pausing = connect(autocommit=False)
    register(conn, "w1")
    one(conn, ADVANCE, "1 hour 1 second")
    one(pausing, "select app.pause_schedule('a', 'ann', 'stop')")
    conn.execute("set statement_timeout = '5s'")
    look_after(conn, "w1")
    pausing.commit()
    look_after(conn, "w1")
    assert [(name, outcome) for name, _, outcome in conn.execute(TICKS).fetchall()] == [("b", "started")]
    assert broken_laws(conn) == []


def test_a_pause_waits_for_the_tick_in_hand(
    conn: Connection[Any], connect: Connect, hourly: Callable[..., None]
) -> None:
    hourly("a")
    firing, pausing = connect(autocommit=False), connect()
    register(conn, "w1")
    one(conn, ADVANCE, "1 hour 1 second")
    look_after(firing, "w1")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(one, pausing, "select app.pause_schedule('a', 'ann', 'stop')")
        wait_until_blocked(conn, pausing.info.backend_pid)
        firing.commit()
        assert answer.result(10)["paused"] is True
    one(conn, ADVANCE, "3 hours")
    look_after(conn, "w1")
    assert [outcome for _, _, outcome in conn.execute(TICKS).fetchall()] == ["started"]
    assert one(conn, "select next_at from app.schedules") is None
    assert broken_laws(conn) == []


def test_two_puts_of_a_new_schedule_are_one(
    conn: Connection[Any], connect: Connect, hourly: Callable[..., None]
) -> None:
    hourly("other")
    body = one(conn, 'select app.schedule_json(s) || \'{"name": "new"}\' from app.schedules as s')
    others = [connect() for _ in range(4)]
    statement = "select app.put_schedule(%s, 'ann', 'test') -> 'isReplay'"
    answers = at_once(*(lambda c=c: one(c, statement, Jsonb(body)) for c in others))
    assert sorted(map(str, answers)) == ["False", "True", "True", "True"]
    assert one(conn, "select count(*) from app.artifacts where run_id = 'schedule/new'") == 1
