"""The examples of docs/recipes.md, executed as they stand there."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sisu_kodo.cli.processes import start_runner
from sisu_kodo.client import Client
from tests.conftest import ROOT
from tests.integration.runner_support import put, scalar, start, wait_for_status, wait_until

Database = psycopg.Connection[Any]


def example(heading: str, language: str) -> str:
    """The first block of that language under a heading of docs/recipes.md."""
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    block = re.search(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert block, f"there is no {language} under {heading}"
    return block[1]


@pytest.fixture
def client(conn: Database) -> Iterator[Client]:
    client = Client(conn)
    yield client
    assert client.broken_laws() == []


@contextmanager
def runner(dsn: str, folder: Path, module: str) -> Iterator[subprocess.Popen[bytes]]:
    """`sisu runner --import module`, with the module in `folder`; killed at the end."""
    words = ["--import", module, "--name", "runner-docs", "--log-level", "warning"]
    process = start_runner(words, {"DATABASE_URL": dsn, "PYTHONPATH": str(folder)})
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_workflow_as_one_function(dsn: str, client: Client, conn: Database, tmp_path: Path) -> None:
    (tmp_path / "order.py").write_text(example("Durable functions", "python"), encoding="utf-8")
    client.put_recipe(json.loads(example("Durable functions", "json")))
    book = tmp_path / "book"
    run_id = start(client, name="order", book=str(book), amount=12, items=["tea", "ink"])
    parked = "select parked_at is not null from app.run_steps where run_id = %s"

    with runner(dsn, tmp_path, "order"):
        wait_until(lambda: scalar(conn, parked, run_id), "the sleep")
    # that was kill -9 while it sleeps; a day passes
    conn.execute("select app.advance('1 day')")
    with runner(dsn, tmp_path, "order"):
        wait_for_status(client, run_id, "WAITING_INPUT")
        reply = example("Durable functions", "sql").strip().splitlines()[2].partition("--")[0]
        conn.execute(reply.replace("ih_…", run_id).encode())
        leased = (
            "select msg_id is not null from app.run_steps where run_id = %s order by attempt desc limit 1"
        )
        wait_until(lambda: scalar(conn, leased, run_id), "the packing")
    # and kill -9 while it packs
    assert book.read_text() == "charged 12\n"
    with runner(dsn, tmp_path, "order"):
        wait_for_status(client, run_id, "SUCCESS")

    assert sorted(book.read_text().splitlines()) == ["charged 12", "packed ink", "packed tea"]
    output = scalar(conn, "select output from app.run_steps where run_id = %s and status = 'SUCCESS'", run_id)
    assert output == {"shipped": ["a parcel of tea", "a parcel of ink"]}
    names = "select array_agg(name order by seq) from app.checkpoints where run_id = %s"
    assert scalar(conn, names, run_id) == [
        "charge", "receipt.json", "a day to think it over", "ship-it", "pack tea", "pack ink",
    ]  # fmt: skip
    assert [each["kind"] for each in client.artifacts(run_id) if each["stepID"] == "FulfilST"].count(
        "receipt"
    ) == 1


def test_a_transfer(dsn: str, client: Client, conn: Database, tmp_path: Path) -> None:
    (tmp_path / "bank.py").write_text(example("Transactional handlers", "python"), encoding="utf-8")
    conn.execute("create table accounts (name text primary key, balance integer not null)")
    conn.execute("insert into accounts values ('ann', 10), ('bob', 0)")
    put(client, {"handler": "bank/transfer"}, name="bank")
    inputs = {"from": "ann", "to": "bob", "amount": 7}
    with runner(dsn, tmp_path, "bank"):
        first = start(client, "first", "bank", **inputs)
        wait_for_status(client, first, "SUCCESS")
        second = start(client, "second", "bank", **inputs)
        assert wait_for_status(client, second, "ERROR")["error"]["code"] == "no_funds"
    assert conn.execute("select * from accounts order by name").fetchall() == [("ann", 3), ("bob", 7)]
