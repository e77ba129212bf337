"""What the browser tests share: a real stack (database, `sisu api`, `sisu runner`), a headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from sisu_kodo.client import Client
from sisu_kodo.errors import NotFound

ROOT = Path(__file__).resolve().parents[2]
HANDLERS = "tests.browser.browser_handlers"
PATIENCE = 30.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--window-size=1440,900",
)  # fmt: skip


def chromium(profile: Path) -> Chrome:
    """A headless Chromium with a profile of its own."""
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return Chrome(options=options, service=ChromeService(str(CHROMEDRIVER)))


@dataclass
class Stack:
    """The processes on one database. `client` is a second way to look."""

    dsn: str
    client: Client
    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    api: subprocess.Popen[bytes] | None = None
    runner: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start_api(self) -> None:
        self.port = self.port or _free_port()
        self.api = self._sisu("api", "--port", str(self.port), "--log-level", "error")
        wait_until(lambda: _answers(self.port), "the start of sisu api")

    def start_runner(self, name: str = "runner-a") -> None:
        self.runner = self._sisu(
            "runner",
            "--import",
            HANDLERS,
            "--name",
            f"{name}-{self.port}",
            "--heartbeat",
            "0.3",
            "--log-level",
            "error",
        )

    def kill_runner(self) -> None:
        assert self.runner is not None
        self.runner.kill()
        self.runner.wait()
        self.runner = None

    def kill_api(self) -> None:
        assert self.api is not None
        self.api.kill()
        self.api.wait()
        self.api = None

    def close(self) -> None:
        for process in (self.runner, self.api):
            if process is not None:
                process.kill()
                process.wait()

    def start(self, goal: str, recipe: str, **inputs: Any) -> str:
        """Start a run; its id."""
        intent = self.client.create_intent({"goal": goal, "inputs": inputs, "constraints": {}})
        return str(self.client.start_run(intent["intentId"], recipeName=recipe)["workflowID"])

    def status(self, run_id: str) -> str:
        return str(self.client.run(run_id)["status"])

    def wait(self, run_id: str, *statuses: str) -> None:
        """Also for a run that a page is about to start."""

        def reached() -> bool:
            with suppress(NotFound):
                return self.status(run_id) in statuses
            return False

        wait_until(reached, f"{run_id} {statuses}")

    def _sisu(self, *words: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        env = {
            **os.environ,
            "DATABASE_URL": self.dsn,
            "PYTHONPATH": path,
            "SISU_HOME": str(self.home),
            **self.environment,
        }
        return subprocess.Popen([sys.executable, "-m", "sisu_kodo", *words], env=env, cwd=ROOT)


@dataclass
class Browser:
    """A driver on a stack's page, with the verbs of a person."""

    driver: Chrome
    stack: Stack

    def open(self, path: str) -> None:
        self.driver.get(self.stack.url + path)

    def open_run(self, run_id: str) -> None:
        self.open(f"/?wid={run_id}")

    def run_id(self) -> str:
        """The run of the page, as soon as it is one of a run."""
        wait_until(
            lambda: "/?wid=" in self.driver.current_url, f"a run's page after {self.driver.current_url}"
        )
        return str(self.driver.current_url).split("wid=")[1].split("&")[0]

    @property
    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def every(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def button(self, label: str, within: str = "body") -> WebElement:
        """The visible button that says this."""
        found = [
            each for each in self.every(f"{within} button") if each.text == label and each.is_displayed()
        ]
        assert len(found) == 1, f"{len(found)} buttons say {label}"
        return found[0]

    def fill(self, selector: str, value: str) -> None:
        element = self.one(selector)
        element.clear()
        element.send_keys(value)

    def sees(self, words: str, seconds: float = PATIENCE) -> None:
        """Waits until the page says these words; what is drawn by CSS in capitals counts as written."""
        wait_until(lambda: words in self.text, f"the page saying {words!r}", seconds)

    def requests(self, part: str) -> list[str]:
        """The URLs asked for since the last call, of those that hold `part`."""
        found = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        urls = [
            str(each["params"]["request"]["url"])
            for each in found
            if each["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if part in url]

    def said(self) -> list[dict[str, Any]]:
        """What the console said since the last call."""
        return self._log("browser")

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def emulate(self, width: int = 1440, height: int = 900, scheme: str = "light") -> None:
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scripts(self, allowed: bool) -> None:
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not allowed})


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first true value of `condition`. Raises AssertionError naming `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.05)
    return value


@contextmanager
def stack_on(dsn: str, client: Client, home: Path, **environment: str) -> Iterator[Stack]:
    """The database with `sisu api`; a runner is started by who needs one. All of it killed at the end."""
    stack = Stack(dsn, client, home, {"OC_MODE": "replay", "SBX_MODE": "mock", **environment})
    try:
        stack.start_api()
        yield stack
    finally:
        stack.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
