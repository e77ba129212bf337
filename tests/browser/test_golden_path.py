"""The manual's section 2 by clicking, and what a person does besides: reject, answer, cancel, fork, drift."""

from __future__ import annotations

import time

import psycopg
from selenium.webdriver.support.ui import Select

from tests.browser.browser_support import Browser, Stack


def start_by_clicking(browser: Browser, goal: str) -> str:
    """Fill in the start form of compile-default; the id of the run that it leads to."""
    browser.open("/recipes")
    next(each for each in browser.every("h2 a") if each.text == "compile-default").click()
    browser.fill("#s-goal", goal)
    browser.fill("#s-partition", "ui-default")
    browser.button("Start").click()
    return browser.run_id()


def test_the_golden_path_by_clicking(browser: Browser, stack: Stack) -> None:
    stack.start_runner()
    run = start_by_clicking(browser, "demo")
    browser.sees("nextAction: APPROVE_PLAN")
    assert browser.driver.current_url.startswith(f"{stack.url}/?wid={run}")
    shown = browser.one("#gate-approve-plan").text
    assert 'evaluate("7 - 2 - 1") is 6' in shown, "the plan is not beside its button"
    assert "while tokens and tokens[0] in" in browser.one("#gate-approve-plan .d-add").text
    browser.fill("#name-approve-plan", "ann")
    browser.button("Approve Plan").click()
    browser.sees("SUCCESS")
    stack.wait(run, "SUCCESS")
    browser.sees("approved by ann")
    assert stack.client.run(run)["status"] == "SUCCESS"

    browser.one("#open-0").click()
    browser.sees("kind: artifact_index")
    assert browser.driver.switch_to.active_element.text == "CompileST", "the sheet has the focus"
    browser.driver.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert not browser.every("[data-sheet]")
    assert browser.driver.switch_to.active_element.get_attribute("id") == "open-0", "the focus is back"


def test_a_plan_is_rejected_with_a_reason(browser: Browser, stack: Stack) -> None:
    stack.start_runner()
    run = stack.start("reject me", "compile-default")
    browser.open_run(run)
    browser.sees("nextAction: APPROVE_PLAN")
    browser.fill("#name-approve-plan", "bob")
    browser.button("Reject").click()
    browser.sees("Refused: schema_violation")
    assert "a rejection needs its reason" in browser.one("[aria-label=Refused]").text
    assert stack.status(run) == "WAITING_INPUT"
    browser.fill("#name-approve-plan", "bob")
    browser.fill("#notes-approve-plan", "too risky")
    browser.button("Reject").click()
    browser.sees("Rejected. The run has ended with your reason.")
    assert stack.status(run) == "ERROR"
    browser.sees("too risky")
    browser.sees("rejected by bob")


def test_a_gate_is_answered_by_the_form_of_its_schema(browser: Browser, stack: Stack) -> None:
    stack.start_runner()
    browser.open("/recipe?name=order")
    browser.fill("#s-goal", "An order")
    browser.fill("#s-item", "a lamp")
    browser.fill("#s-count", "3")
    assert browser.one("#s-count").get_attribute("max") == "9", "the browser knows the limits"
    browser.fill("#s-tags", "red\nSmall!")
    browser.button("Start").click()
    browser.sees("Refused: schema_violation")
    assert "tags.1" in browser.one("[aria-label=Refused]").text
    assert browser.one("#s-item").get_attribute("value") == "a lamp", "what was typed stays"
    browser.fill("#s-tags", "red\nsmall")
    browser.button("Start").click()
    browser.sees("How is it delivered?")
    run = browser.run_id()
    Select(browser.one("#g-delivery-carrier")).select_by_visible_text("bike")
    browser.one("#g-delivery-insured").click()
    browser.fill("#name-delivery", "ann")
    browser.button("Answer").click()
    stack.wait(run, "SUCCESS")
    (gate,) = stack.client.gates(run)
    assert gate["payload"] == {"carrier": "bike", "insured": True}
    browser.sees("answered by ann")


def test_cancel_and_resume_are_audited(browser: Browser, stack: Stack) -> None:
    run = stack.start("stop me", "slow", seconds=0)
    browser.open_run(run)
    browser.fill("#cancel-name", "fde")
    browser.fill("#cancel-reason", "stalled")
    browser.button("Cancel run").click()
    browser.sees("Cancelled.")
    assert stack.status(run) == "CANCELLED"
    assert "cancel by fde" in browser.one("#part-audit").text
    assert "stalled" in browser.one("#part-audit").text
    assert browser.one("#resume-name").get_attribute("value") == "fde", "the name is remembered"
    browser.fill("#resume-reason", "it was a mistake")
    browser.button("Resume run").click()
    browser.sees("Resumed")
    stack.start_runner()
    browser.sees("SUCCESS")
    stack.wait(run, "SUCCESS")


def test_a_failed_run_is_forked_with_a_preview_and_mended_inputs(browser: Browser, stack: Stack) -> None:
    stack.start_runner()
    run = stack.start("build it", "brittle")
    stack.wait(run, "ERROR")
    browser.open_run(run)
    browser.sees("SyntaxError: unterminated string literal")
    browser.sees("2 earlier attempts")
    browser.one("details.fork summary").click()
    assert Select(browser.one("#fork-step")).first_selected_option.text == "1 BuildST"
    browser.fill("#fork-name", "fde")
    browser.fill("#fork-reason", "patch-applied")
    browser.fill("#fork-inputs", '{"mended": true}')
    browser.button("Preview").click()
    preview = browser.one("[aria-label='Fork preview']").text
    assert preview.split("\n")[1:7] == ["REUSED", "CollectST", "RUNS", "BuildST", "RUNS", "ShipST"], preview
    assert len(stack.client.runs()["runs"]) == 1, "a preview writes nothing"
    browser.button("Fork now").click()
    stack.wait(f"{run}-f1", "SUCCESS")
    assert f"wid={run}-f1" in browser.driver.current_url
    browser.sees("reused from")
    assert "build_failed" not in browser.text
    browser.open_run(run)
    browser.sees("patch-applied")
    browser.every("a[href^='/compare']")[0].click()
    browser.sees("What the fork did otherwise")
    browser.sees("REUSED")


def test_the_same_start_is_a_replay_and_another_one_is_drift(browser: Browser, stack: Stack) -> None:
    run = start_by_clicking(browser, "twice")
    assert start_by_clicking(browser, "twice") == run
    browser.sees("isReplay")
    browser.open("/recipe?name=compile-default")
    browser.fill("#s-goal", "twice")
    browser.fill("#s-partition", "another")
    browser.button("Start").click()
    browser.sees("Refused: drift")
    row = [each.text for each in browser.every("[aria-label=Refused] td")]
    assert row == ["queuePartitionKey", '"ui-default"', '"another"']
    assert browser.one("#s-partition").get_attribute("value") == "another", "what was typed stays"
    assert len(stack.client.runs()["runs"]) == 1


def test_the_explanation_has_the_sql_to_copy(browser: Browser, stack: Stack) -> None:
    run = stack.start("why", "slow", seconds=0)
    browser.open_run(run)
    browser.sees("Why is it waiting?")
    browser.sees("no live worker of version")
    sql = [each.text for each in browser.every("#part-why .sql")]
    copied = [each.get_attribute("data-copy") for each in browser.every("#part-why [data-copy]")]
    assert sql == copied
    assert sql[0].startswith("sisu runner --app-version"), sql
    assert sql[1] == f"select * from app.explain_run('{run}')"
    with psycopg.connect(stack.dsn) as conn:
        assert conn.execute(sql[1].encode()).fetchone() is not None, "it can be run as it stands"


def test_a_queue_is_paused_and_unpaused_with_a_reason(browser: Browser, stack: Stack) -> None:
    for key in ("acme", "acme", "globex"):
        goal = f"{key} {time.monotonic()}"
        intent = stack.client.create_intent({"goal": goal, "inputs": {}, "constraints": {}})
        stack.client.start_run(intent["intentId"], recipeName="slow", queuePartitionKey=key)
    browser.open("/ops")
    browser.one("#queues details summary").click()
    Select(browser.one("#q-queue")).select_by_visible_text("intentQ")
    browser.fill("#q-name", "ann")
    browser.button("Pause").click()
    assert "done=" not in browser.driver.current_url, "no reason, no pause"
    browser.fill("#q-reason", "the disk is full")
    browser.button("Pause").click()
    browser.sees("intentQ is paused: what is under way ends, nothing new is handed out.")
    told = browser.one("#part-queues").text
    assert "by ann" in told and "the disk is full" in told
    assert "pause intentQ by ann" in told, "its audit row"
    rows = [each.text.split("\n")[0].split()[:4] for each in browser.every("#part-fairness tbody tr")]
    assert [row[:3] for row in rows] == [["acme", "intentQ", "2"], ["globex", "intentQ", "1"]], rows
    next(each for each in browser.every("#part-fairness nav a") if each.text == "sbxQ").click()
    browser.sees("Nothing waits on sbxQ")
    browser.one("#queues details summary").click()
    Select(browser.one("#q-queue")).select_by_visible_text("intentQ")
    browser.fill("#q-reason", "there is room again")
    browser.button("Pause").click()
    browser.sees("Refused: queue_paused")
    assert browser.one("#q-reason").get_attribute("value") == "there is room again", "what was typed stays"
    browser.button("Unpause").click()
    browser.sees("intentQ is served again.")
    assert "unpause intentQ by ann" in browser.one("#part-queues").text
    browser.one("#queues details summary").click()
    Select(browser.one("#q-queue")).select_by_visible_text("intentQ")
    browser.fill("#q-part", "acme")
    browser.fill("#q-reason", "a noisy neighbour")
    browser.button("Pause").click()
    browser.sees("acme of intentQ is paused")
    (row,) = [each.text for each in browser.every("#part-fairness tbody tr") if "PAUSED" in each.text]
    assert row.startswith("acme")
    assert "pause intentQ / acme by ann" in browser.one("#part-queues").text
    with psycopg.connect(stack.dsn) as conn:
        assert conn.execute("select 1 from app.queues where paused_at is not null").fetchall() == []
