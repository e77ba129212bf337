"""The OpenAPI document says what the server does: schemathesis tries it, with every check."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from tests.conftest import ROOT
from tests.http.http_support import Api, put_recipes, serving, work

EXAMPLE = {
    "goal": "Hello bob",
    "inputs": {"n": 3},
    "constraints": {
        "stepLibrary": {
            "primitives": ["Collect", "Fetch", "Extract", "Normalize", "Decide", "Act", "Report", "Legacy"]
        }
    },
}
"""The intent whose id stands in the document's examples."""

# A request may be well formed and yet against a policy (a budget, a partition law): 400 is right then.
CONFIG = """
[generation]
allow-x00 = false
deterministic = true
database = "none"

[phases.stateful]
generation.max-examples = 4

[[operations]]
include-operation-id = "startRun"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409"]
"""


def test_every_operation_is_described(api: Api) -> None:
    document = api.get("/openapi.json").json()
    operations = [(path, m, op) for path, ops in document["paths"].items() for m, op in ops.items()]
    assert len(operations) == 17
    assert len({op["operationId"] for *_, op in operations}) == 17
    for path, method, op in operations:
        assert op["summary"] and op["description"] and op["tags"], path
        assert {"401", "403", "500"} <= set(op["responses"]), path
        assert "422" not in op["responses"]
        if method == "post":
            assert {"400", "413"} <= set(op["responses"]), path
        if "requestBody" in op:
            assert op["requestBody"]["content"]["application/json"]["example"], path
        for status, told in op["responses"].items():
            if status >= "400":
                shown = told["content"]["application/json"]
                assert shown["schema"] == {"$ref": "#/components/schemas/Error"} and shown["example"]["code"]
    assert "x-body" not in str(document)


def test_bodies_are_those_of_the_database(api: Api) -> None:
    schemas = api.get("/openapi.json").json()["components"]["schemas"]
    fork = schemas["ForkRun"]
    assert fork["required"] == ["stepN", "actor", "reason"]
    assert fork["additionalProperties"] is False
    assert set(fork["properties"]) == {"stepN", "actor", "reason", "appVersion", "inputs"}
    assert schemas["StartRun"]["required"] == ["intentId"]
    assert schemas["StartRun"]["properties"]["lane"]["enum"] == ["interactive", "batch", None]
    assert schemas["ApprovePlan"]["required"] == ["approvedBy"]


def test_the_page_needs_nothing_from_elsewhere(api: Api) -> None:
    page = api.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "http://" not in page.text.replace(api.url, "")
    assert page.text.count("<h3 ") == 17
    assert "curl -s -X POST" in page.text


def test_with_tokens_the_document_says_so(dsn: str) -> None:
    from sisu_kodo.config import load_config
    from sisu_kodo.http.tokens import load_tokens

    tokens = load_tokens(load_config(tokens="ann:viewer:0123456789abcdef"))
    with serving(dsn, tokens=tokens) as api:
        assert api.get("/openapi.json").json()["security"] == [{"token": []}]


def test_the_server_keeps_its_document(dsn: str, conn: psycopg.Connection[Any], tmp_path: Path) -> None:
    """No 5xx, no undocumented status or body, valid data accepted, invalid refused, and nothing written by
    what is refused.
    """
    put_recipes(conn)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    environment = {
        **os.environ,
        "SISU_TRIED_DSN": dsn,
        "SCHEMATHESIS_HOOKS": "tests.http.schemathesis_hooks",
        "PYTHONPATH": str(ROOT),
    }
    with serving(dsn, longest_wait=0.05) as api:
        api.post("/api/intents", EXAMPLE)
        api.run("done")
        work(conn, 2)
        api.run("at the gate", "gated")
        work(conn)
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"]
        options = [
            "--checks",
            "all",
            "--max-examples",
            "12",
            "--seed",
            "1",
            "--warnings",
            "off",
            "--no-color",
        ]
        done = subprocess.run(
            [*command, f"{api.url}/openapi.json", *options],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-5000:]
