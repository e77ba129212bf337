"""What others wrote stays text; what runs is only ours; a form from elsewhere is refused."""

from __future__ import annotations

import time
from functools import partial

import httpx
import pytest

from sisu_kodo.http.tokens import new_token
from tests.browser.browser_handlers import HOSTILE_NAME
from tests.browser.browser_support import Browser, Stack, wait_until

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def no_violation(browser: Browser) -> None:
    assert browser.driver.title != "owned"
    said = [entry["message"] for entry in browser.said()]
    assert not [each for each in said if "Content Security Policy" in each], said


def test_a_goal_of_script_stays_text_everywhere(browser: Browser, stack: Stack) -> None:
    run = stack.start(EVIL, "compile-default")
    stack.start_runner()
    browser.open_run(run)
    browser.sees("nextAction: APPROVE_PLAN")
    assert browser.one("h1").text == EVIL
    no_violation(browser)
    browser.open("/ops")
    assert EVIL[:60] in browser.one(".goal a").text
    no_violation(browser)
    browser.open(f'/ops?text={EVIL.replace("#", "")}&partition="><script>alert(1)</script>')
    browser.sees("No run fits")
    no_violation(browser)
    browser.open(f"/?wid={EVIL}")
    browser.sees("run_not_found")
    no_violation(browser)


CHOSEN = "return document.querySelector('.artifacts .chosen a')?.textContent"
LINK = "Array.from(document.querySelectorAll('.artifacts a')).find(a => a.textContent === arguments[0])"
DRAWN = "const i = document.querySelector('.image img'); return i?.complete && i.naturalWidth > 0 && i.alt"


def click_artifact(browser: Browser, name: str) -> None:
    """Through a script: the sheet may be drawn anew between finding the link and the click. A click in
    the few milliseconds in which it is drawn finds a link that is not alive yet: then once more.
    """
    clicked = 0.0

    def chosen() -> bool:
        nonlocal clicked
        if browser.driver.execute_script(CHOSEN) == name:
            return True
        if time.monotonic() > clicked + 3:
            clicked = time.monotonic()
            browser.driver.execute_script(f"{LINK}?.click()", name)
        return False

    wait_until(chosen, f"the artifact {name}")


def drawn(browser: Browser, name: str) -> bool:
    return bool(browser.driver.execute_script(DRAWN) == name)


def test_artifacts_are_shown_and_nothing_in_them_runs(browser: Browser, stack: Stack) -> None:
    run = stack.start("gallery", "gallery")
    stack.start_runner()
    stack.wait(run, "SUCCESS")
    browser.open_run(run)
    browser.one("#open-0").click()
    browser.sees("kind: decision")
    expected = {
        "decision.json": '"<script>alert(1)</script>"',
        "greet.py.patch": 'return f"Hello {name}, <script>alert(1)</script>"',
        "stdout.txt": "3 passed <b>bold</b>",
        "junit.xml": "1 failed",
        "page.html": "<script>document.title='owned'</script>",
        "data.bin": "This is no text.",
    }
    for name, words in expected.items():
        click_artifact(browser, name)
        browser.sees(words)
        no_violation(browser)
    browser.requests("")
    for name in ("dot.png", "drawing.svg", "hostile.svg", HOSTILE_NAME):
        click_artifact(browser, name)
        wait_until(partial(drawn, browser, name), f"the image {name}")
        no_violation(browser)
    click_artifact(browser, "odd.json")
    browser.sees('{"a": "</pre><script>"')
    no_violation(browser)
    assert browser.requests("stolen") == [], "an SVG has fetched something"
    browser.one("[data-close]").click()
    browser.one("#open-1").click()
    browser.sees("This step finished and produced nothing.")


def test_the_bytes_of_an_artifact_come_sandboxed(browser: Browser, stack: Stack) -> None:
    run = stack.start("gallery", "gallery")
    stack.start_runner()
    stack.wait(run, "SUCCESS")
    by_name = {each["name"]: each for each in stack.client.artifacts(run)}
    for name in ("page.html", "drawing.svg", "hostile.svg", HOSTILE_NAME, "junit.xml"):
        answer = httpx.get(f"{stack.url}/ui/artifacts/{by_name[name]['artifactId']}")
        assert answer.headers["content-disposition"].startswith("attachment"), name
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (
            "\n" not in answer.headers["content-disposition"]
            and "<" not in answer.headers["content-disposition"]
        )


def test_an_svg_that_is_opened_by_itself_runs_nothing(browser: Browser, stack: Stack) -> None:
    run = stack.start("gallery", "gallery")
    stack.start_runner()
    stack.wait(run, "SUCCESS")
    by_name = {each["name"]: each for each in stack.client.artifacts(run)}
    browser.open("/ops")
    browser.requests("")
    for name in ("hostile.svg", "page.html"):
        browser.open(f"/ui/artifacts/{by_name[name]['artifactId']}")
        assert browser.driver.title != "owned"
    assert browser.requests("stolen") == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-site", "origin": "http://localhost:1"},
    ],
)
def test_a_form_that_does_not_come_from_the_page_is_refused(stack: Stack, headers: dict[str, str]) -> None:
    run = stack.start("safe", "slow", seconds=0)
    form = {"wid": run, "op": "cancel", "name": "x", "reason": "y"}
    for path in ("/ui/control", "/ui/gate", "/ui/fork", "/ui/batch", "/ui/start", "/ui/queue", "/logout"):
        answer = httpx.post(stack.url + path, data=form, headers=headers)
        assert answer.status_code == 403, (path, answer.text)
    assert stack.status(run) == "ENQUEUED"


def test_every_page_has_a_strict_policy(stack: Stack) -> None:
    run = stack.start("safe", "slow", seconds=0)
    paths = (
        "/ops",
        "/recipes",
        "/recipe?name=order",
        "/charts",
        f"/?wid={run}",
        f"/ui/live?wid={run}",
        "/?wid=no",
    )
    for path in paths:
        answer = httpx.get(stack.url + path)
        policy = answer.headers["content-security-policy"]
        assert (
            "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        )
        for word in ("<style", " style=", "onclick=", "<script>", "javascript:"):
            assert word not in answer.text, (path, word)


def test_a_parameter_that_cannot_be_read_is_a_page_not_a_failure(stack: Stack) -> None:
    run = stack.start("odd", "slow", seconds=0)
    for path in (
        "/?wid=%00", "/?wid=" + "x" * 300,
        f"/?wid={run}&sheet=x", f"/?wid={run}&sheet=99", f"/?wid={run}&sheet=-1",
        f"/?wid={run}&sheet=0&task=nope", "/ops?cursor=x", "/recipe?name=no", "/recipe?name=order&version=7",
        f"/tasks?wid={run}&idx=999999999999", f"/compare?a={run}&b=x", "/recipe", "/tasks", "/compare",
    ):  # fmt: skip
        assert httpx.get(stack.url + path).status_code in (200, 400, 404), path


class TestTokens:
    """With tokens a person logs in, and sees the buttons of their roles."""

    @pytest.fixture
    def tokens(self) -> dict[str, str]:
        return {role: new_token(role, role)[0] for role in ("viewer", "approver")}

    @pytest.fixture
    def guarded(self, stack: Stack, tokens: dict[str, str]) -> Stack:
        stack.kill_api()
        stack.environment["SISU_TOKENS"] = " ".join(
            f"{role}:{role}:{token}" for role, token in tokens.items()
        )
        stack.start_api()
        return stack

    def test_the_right_token_approves_the_plan(
        self, browser: Browser, guarded: Stack, tokens: dict[str, str]
    ) -> None:
        run = guarded.start("who may", "compile-default")
        guarded.start_runner()
        guarded.wait(run, "WAITING_INPUT")
        browser.open_run(run)
        browser.sees("Log in")
        browser.fill("#token", "nobody's token at all")
        browser.button("Log in").click()
        browser.sees("That token is not known.")
        browser.fill("#token", tokens["viewer"])
        browser.button("Log in").click()
        browser.sees("It waits for somebody with the role approver.")
        assert not [each for each in browser.every("button") if each.text == "Approve Plan"]
        browser.button("Log out").click()
        browser.sees("Whoever runs the server")
        browser.open_run(run)
        browser.fill("#token", tokens["approver"])
        browser.button("Log in").click()
        browser.sees("It takes the role operator.")
        assert not browser.every("#name-approve-plan"), "the token says who it is"
        browser.button("Approve Plan").click()
        guarded.wait(run, "SUCCESS")
        (gate,) = guarded.client.gates(run)
        assert gate["payload"]["approvedBy"] == "approver"

    def test_a_form_of_the_wrong_role_is_refused(self, guarded: Stack, tokens: dict[str, str]) -> None:
        run = guarded.start("who may", "slow", seconds=0)
        form = {"wid": run, "op": "cancel", "reason": "y"}
        cookies = {"sisu_token": tokens["viewer"]}
        answer = httpx.post(
            f"{guarded.url}/ui/control", data=form, cookies=cookies, headers={"origin": guarded.url}
        )
        assert answer.status_code == 403
        assert (
            httpx.post(f"{guarded.url}/ui/control", data=form, headers={"origin": guarded.url}).status_code
            == 303
        )
        assert guarded.status(run) == "ENQUEUED"

    def test_the_way_after_the_login_stays_here(self, guarded: Stack, tokens: dict[str, str]) -> None:
        for target in (
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "evil",
            "\t//evil.example",
        ):
            form = {"token": tokens["viewer"], "next": target}
            answer = httpx.post(f"{guarded.url}/login", data=form, headers={"origin": guarded.url})
            assert answer.headers["location"] == "/ops", target
            assert (
                "HttpOnly" in answer.headers["set-cookie"]
                and "SameSite=strict" in answer.headers["set-cookie"]
            )
