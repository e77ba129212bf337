"""A purged run over HTTP: its header is there, a start is a replay, everything else is 404 run_purged."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from sisu_kodo.http.models import RunHeader, RunStarted
from tests.http.http_support import Api

WHO = {"actor": "ann", "reason": "test"}


@pytest.fixture
def purged(api: Api, conn: Connection[Any]) -> str:
    run_id = api.run("old", lane="batch")
    assert api.post(f"/api/ops/wf/{run_id}/cancel", WHO).status_code == 202
    assert conn.execute("select app.purge_runs('0', 'ann', 'test') -> 'purged'").fetchone() == (1,)
    return run_id


def test_its_header_is_there(api: Api, purged: str) -> None:
    for path in (f"/api/runs/{purged}", f"/api/ops/wf/{purged}"):
        answer = api.get(path)
        assert answer.status_code == 200
        header = RunHeader.model_validate(answer.json())
        assert (header.status, header.nextAction) == ("CANCELLED", None)
        assert header.purgedAt is not None


def test_the_same_start_is_a_replay_and_another_is_drift(api: Api, purged: str) -> None:
    body = {"intentId": purged, "recipeName": "plain", "lane": "batch"}
    answer = api.post("/api/runs", body)
    assert answer.status_code == 200
    started = RunStarted.model_validate(answer.json())
    assert started.isReplay and started.purgedAt is not None
    other = api.post("/api/runs", {**body, "priority": 7})
    assert other.status_code == 409
    assert [entry["field"] for entry in other.json()["drift"]] == ["priority"]


@pytest.mark.parametrize("path", ["steps", "gates", "artifacts"])
def test_nothing_else_of_it_can_be_read(api: Api, purged: str, path: str) -> None:
    answer = api.get(f"/api/runs/{purged}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "run_purged")


@pytest.mark.parametrize(
    ("action", "body"), [("cancel", WHO), ("resume", WHO), ("fork", {**WHO, "stepN": 0})]
)
def test_nothing_can_be_done_about_it(api: Api, purged: str, action: str, body: dict[str, Any]) -> None:
    answer = api.post(f"/api/ops/wf/{purged}/{action}", body)
    assert (answer.status_code, answer.json()["code"]) == (404, "run_purged")
    assert "purged" in answer.json()["error"]
