"""A stack and a browser for every test of the page; without Chromium they are skipped, and say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from selenium.webdriver import Chrome

from sisu_kodo import database
from sisu_kodo.client import Client
from tests.browser.browser_handlers import RECIPES
from tests.browser.browser_support import CHROMEDRIVER, CHROMIUM, Browser, Stack, chromium, stack_on


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One Chromium for the session."""
    if CHROMIUM is None or CHROMEDRIVER is None:
        pytest.skip("no chromium and chromedriver: on Debian, apt-get install chromium chromium-driver")
    one = chromium(tmp_path_factory.mktemp("profile"))
    yield one
    one.quit()


@pytest.fixture
def stack(dsn: str, conn: psycopg.Connection[Any], tmp_path: Path) -> Iterator[Stack]:
    """`sisu api` on the test's database with the recipes of these tests; no runner yet."""
    client = Client(conn)
    with closing(database.connect(dsn)):
        database.register_builtin(dsn)
    for recipe in RECIPES:
        client.put_recipe(recipe)
    with stack_on(dsn, client, tmp_path / "home") as running:
        yield running


@pytest.fixture
def browser(driver: Chrome, stack: Stack) -> Iterator[Browser]:
    """A clean browser on the stack."""
    driver.delete_all_cookies()
    one = Browser(driver, stack)
    one.emulate()
    one.requests("")
    one.said()
    yield one
    driver.get("about:blank")
