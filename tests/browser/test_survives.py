"""The page while processes die: it says so, and recovers; it stops asking when there is nothing more."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.browser.browser_support import Browser, Stack, wait_until


def test_a_killed_worker_is_stale_and_another_one_finishes(browser: Browser, stack: Stack) -> None:
    with closing(psycopg.connect(stack.dsn, autocommit=True)) as conn:
        conn.execute("update app.queues set lease_seconds = 2")
    stack.start_runner()
    run = stack.start("survive", "slow", seconds=3)
    browser.open_run(run)
    browser.sees("on runner-a")
    assert "STALE" not in browser.text
    stack.kill_runner()
    browser.sees("STALE")
    browser.sees("the lease of HoldST attempt 1 has expired")
    stack.start_runner("runner-b")
    browser.sees("on runner-b")
    browser.sees("SUCCESS")
    wait_until(lambda: "STALE" not in browser.text, "the end of stale")
    stack.wait(run, "SUCCESS")
    assert browser.one(".earlier summary").text == "1 earlier attempt"


def test_polling_stops_within_one_tick_of_the_end(browser: Browser, stack: Stack) -> None:
    run = stack.start("count me", "slow", seconds=0.5)
    browser.open_run(run)
    time.sleep(2.5)
    polls = browser.requests("/ui/live")
    assert 1 <= len(polls) <= 4, f"{len(polls)} polls in 2.5 s"
    stack.start_runner()
    stack.wait(run, "SUCCESS")
    browser.requests("/ui/live")
    time.sleep(1.5)
    assert len(browser.requests("/ui/live")) <= 2, "one poll tells of the end"
    browser.sees("SUCCESS", 1)
    time.sleep(3)
    assert browser.requests("/ui/live") == []


def test_a_finished_run_is_not_polled_at_all(browser: Browser, stack: Stack) -> None:
    run = stack.start("over", "slow", seconds=0)
    stack.client.control("cancel", run, "me", "over")
    browser.open_run(run)
    time.sleep(2.5)
    assert browser.requests("/ui/live") == []


def test_the_page_says_that_the_server_is_away_and_recovers(browser: Browser, stack: Stack) -> None:
    run = stack.start("patience", "slow", seconds=0)
    browser.open_run(run)
    stack.kill_api()
    browser.sees("Reconnecting…")
    browser.sees("the server does not answer")
    stack.start_runner()
    stack.wait(run, "SUCCESS")
    stack.start_api()
    browser.sees("SUCCESS")
    assert not browser.one("#away").is_displayed()


def test_the_page_says_that_the_database_is_away_and_recovers(browser: Browser, stack: Stack) -> None:
    run = stack.start("patience", "slow", seconds=0)
    browser.open_run(run)
    name = conninfo_to_dict(stack.dsn)["dbname"]
    with closing(psycopg.connect(make_conninfo(stack.dsn, dbname="postgres"), autocommit=True)) as admin:
        database = sql.Identifier(str(name))
        admin.execute(sql.SQL("alter database {} allow_connections false").format(database))
        try:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = %s and application_name = 'sisu api'",
                (name,),
            )
            browser.sees("Reconnecting…")
            browser.open("/ops")
            browser.sees("The database does not answer", 60)
        finally:
            admin.execute(sql.SQL("alter database {} allow_connections true").format(database))
    browser.sees("Open gates", 60)
    browser.open_run(run)
    browser.sees("ENQUEUED")


def test_what_is_typed_and_what_is_unfolded_stays_while_the_page_follows(
    browser: Browser, stack: Stack
) -> None:
    run = stack.start("typing", "compile-default")
    stack.start_runner()
    browser.open_run(run)
    browser.sees("nextAction: APPROVE_PLAN")
    browser.one("details.intent summary").click()
    field = browser.one("#notes-approve-plan")
    field.send_keys("half a sen")
    browser.requests("/ui/live")
    wait_until(lambda: len(browser.requests("/ui/live")) >= 1, "a poll")
    time.sleep(1.5)
    field.send_keys("tence")
    assert field.get_attribute("value") == "half a sentence"
    assert browser.every("details.intent[open]"), "the fold has closed"
