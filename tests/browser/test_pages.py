"""Every page: without scripts, by keyboard, for screen readers, narrow, and with a thousand tasks."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import httpx

from tests.browser.browser_support import Browser, Stack, wait_until

AXE_RUN = """const done = arguments[1];
const failed = e => done([{id: String(e), impact: "critical", nodes: []}]);
axe.run(document, arguments[0]).then(r => done(r.violations), failed)
"""
AXE = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def furnished(stack: Stack) -> dict[str, str]:
    """Runs in every state worth looking at."""
    stack.start_runner()
    runs = {
        "gate": stack.start("Make the failing tests of broken-calc pass", "compile-default"),
        "failed": stack.start("Build the greeting", "brittle"),
        "gallery": stack.start("One artifact of every kind", "gallery"),
        "order": stack.start("Send a lamp", "order", item="lamp"),
        "many": stack.start("Check all parts", "many", tasks=12, fail=7),
        "slow": stack.start("Index the archive", "slow", seconds=120),
    }
    stack.wait(runs["gate"], "WAITING_INPUT")
    stack.wait(runs["order"], "WAITING_INPUT")
    for name in ("failed", "many"):
        stack.wait(runs[name], "ERROR")
    stack.wait(runs["gallery"], "SUCCESS")
    wait_until(lambda: stack.status(runs["slow"]) == "PENDING", "the slow run")
    stack.client.fork(runs["failed"], 1, "fde", "patch-applied", inputs={"mended": True})
    return runs


def paths(runs: dict[str, str]) -> dict[str, str]:
    return {
        "ops": "/ops",
        "ops-filtered": "/ops?status=ERROR",
        "recipes": "/recipes",
        "recipe": "/recipe?name=order",
        "charts": "/charts",
        "run-gate": f"/?wid={runs['gate']}",
        "run-form": f"/?wid={runs['order']}",
        "run-failed": f"/?wid={runs['failed']}",
        "run-many": f"/?wid={runs['many']}",
        "run-slow": f"/?wid={runs['slow']}",
        "sheet": f"/?wid={runs['gallery']}&sheet=0",
        "tasks": f"/tasks?wid={runs['many']}&idx=0",
        "compare": f"/compare?a={runs['failed']}&b={runs['failed']}-f1",
        "error": "/?wid=unknown",
    }


def findings(browser: Browser) -> list[str]:
    """What axe-core says against the page, in short; only what is serious or critical."""
    browser.driver.execute_script(AXE)
    wanted = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    found: Any = browser.driver.execute_async_script(AXE_RUN, wanted)
    return [
        f"{each['impact']} {each['id']}: {node['target']} {node.get('failureSummary', '')[:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"] or [{"target": "page"}]
    ]


def test_axe_finds_nothing_serious_and_nothing_is_cut_off(browser: Browser, stack: Stack) -> None:
    wanted = paths(furnished(stack))
    faults: list[str] = []
    for scheme in ("light", "dark"):
        for width in (1440, 320):
            browser.emulate(width, 900, scheme)
            for name, path in wanted.items():
                browser.open(path)
                faults += [f"{name} {scheme} {width}: {each}" for each in findings(browser)]
                wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
                if wide > width:
                    faults.append(f"{name} {scheme}: {wide} px wide on a screen of {width}")
    assert not faults, "\n".join(faults)


def test_every_page_reads_without_scripts(browser: Browser, stack: Stack) -> None:
    runs = furnished(stack)
    browser.scripts(False)
    try:
        words = {
            "ops": "Make the failing tests of broken-calc", "recipes": "A graph with a form at its gate.",
            "recipe": "Start a run", "charts": "Step duration", "run-gate": "Approve Plan",
            "run-failed": "SyntaxError", "run-many": "12 tasks", "sheet": "<code>decision</code>",
            "tasks": "python -m check part-0007", "compare": "REUSED",
        }  # fmt: skip
        for name, path in paths(runs).items():
            text = httpx.get(stack.url + path).text
            assert words.get(name, "Sisu-Kodo") in text, name
        browser.open_run(runs["gate"])
        browser.fill("#name-approve-plan", "ann")
        next(each for each in browser.every("button") if each.text == "Approve Plan").click()
        stack.wait(runs["gate"], "SUCCESS")
        browser.open(f"/?wid={runs['gate']}")
        browser.every("#open-0")[0].click()
        wait_until(lambda: browser.every("[data-sheet]"), "the sheet as a page")
    finally:
        browser.scripts(True)


def test_the_page_is_used_by_keyboard(browser: Browser, stack: Stack) -> None:
    for n in range(3):
        stack.start(f"goal {n}", "slow", seconds=0)
    browser.open("/ops")
    body = browser.one("body")
    body.send_keys("\ue004")  # Tab
    assert browser.driver.switch_to.active_element.text == "Skip to content"
    body.send_keys("j")
    first = browser.driver.switch_to.active_element
    assert first.text == "goal 2"
    outline = browser.driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus is not seen"
    first.send_keys("j")
    assert browser.driver.switch_to.active_element.text == "goal 1"
    browser.driver.switch_to.active_element.send_keys("k")
    assert browser.driver.switch_to.active_element.text == "goal 2"
    browser.driver.switch_to.active_element.send_keys("/")
    browser.driver.switch_to.active_element.send_keys("goal 1\n")
    wait_until(lambda: "text=goal+1" in browser.driver.current_url, "the search")
    assert [each.text for each in browser.every(".goal a")] == ["goal 1"]


REACHABLE = """
const wanted = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
return Array.from(document.querySelectorAll(wanted)).filter(e => e.checkVisibility() && !e.disabled).length
"""
FOCUSED = """
const e = document.activeElement, s = getComputedStyle(e), all = document.querySelectorAll('*');
return [Array.from(all).indexOf(e), e.tagName, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2,
        (e.innerText || e.name || e.id || '').slice(0, 40)]
"""


def test_everything_is_reached_by_tab_and_the_focus_is_seen(browser: Browser, stack: Stack) -> None:
    runs = furnished(stack)
    for name, path in paths(runs).items():
        browser.open(path)
        browser.driver.execute_script("document.querySelectorAll('[data-polls]').forEach(e => e.remove())")
        count = int(browser.driver.execute_script(REACHABLE))
        seen: dict[int, Any] = {}
        for _ in range(count + 20):
            browser.driver.switch_to.active_element.send_keys("\ue004")
            index, tag, outlined, words = browser.driver.execute_script(FOCUSED)
            if tag == "BODY" or index in seen:
                break
            seen[index] = words
            assert outlined, f"{name}: the focus on {tag} {words!r} is not seen"
        assert len(seen) >= count, f"{name}: {len(seen)} of {count} reached: {list(seen.values())}"


def test_runs_are_filtered_paged_and_handled_together(browser: Browser, stack: Stack) -> None:
    runs = [stack.start(f"batch {n}", "slow", seconds=0) for n in range(3)]
    for n in range(55):
        stack.start(f"other {n}", "brittle")
    browser.open("/ops?name=brittle")
    assert len(browser.every(".goal a")) == 50
    next(each for each in browser.every("a.button") if each.text == "Older").click()
    wait_until(lambda: "cursor=" in browser.driver.current_url, "the next page")
    assert [each.text for each in browser.every(".goal a")] == [f"other {n}" for n in range(4, -1, -1)]
    browser.open("/ops?text=batch")
    assert len(browser.every(".goal a")) == 3
    stack.client.control("cancel", runs[0], "me", "before")
    browser.open("/ops?text=batch")
    browser.one("[data-tick-all]").click()
    browser.fill("#b-name", "fde")
    browser.fill("#b-reason", "spring cleaning")
    browser.button("Preview").click()
    browser.sees("Preview of cancel: 2 of 3 would be accepted")
    assert [stack.status(run) for run in runs] == ["CANCELLED", "ENQUEUED", "ENQUEUED"]
    browser.button("Cancel now").click()
    browser.sees("Done: cancel: 2 of 3 accepted")
    browser.sees("illegal_transition")
    assert [stack.status(run) for run in runs] == ["CANCELLED"] * 3
    (audit,) = [each for each in stack.client.artifacts(runs[1]) if each["stepID"] == "OPS"]
    assert json.loads(stack.client.artifact(audit["artifactId"]).body)["reason"] == "spring cleaning"


def test_ticks_stay_while_the_board_follows(browser: Browser, stack: Stack) -> None:
    stack.start("first", "slow", seconds=0)
    browser.open("/ops")
    browser.one("input[name=run]").click()
    stack.start("second", "slow", seconds=0)
    browser.sees("second")
    ticked = [each.get_attribute("checked") for each in browser.every("input[name=run]")]
    assert ticked == [None, "true"]
