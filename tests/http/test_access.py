"""Who may do what: tokens and roles, names that come from the token, foreign hosts and origins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sisu_kodo.config import load_config
from sisu_kodo.http.tokens import ROLES, load_tokens
from tests.http.http_support import Api, everything, put_recipes, serving, work

SECRETS = {role: f"{role}-0123456789abcdef" for role in ROLES}


@pytest.fixture
def guarded(dsn: str, conn: psycopg.Connection[Any]) -> Iterator[Api]:
    """A server with one token per role, each owned by somebody of that name."""
    put_recipes(conn)
    entries = " ".join(f"{role}-ann:{role}:{secret}" for role, secret in SECRETS.items())
    with serving(dsn, tokens=load_tokens(load_config(tokens=entries))) as running:
        yield running


def auth(role: str) -> dict[str, str]:
    return {"authorization": f"Bearer {SECRETS[role]}"}


ROUTES: list[tuple[str, str, Any, set[str]]] = [
    ("POST", "/api/intents", {"goal": "new", "inputs": {}, "constraints": {}}, {"starter"}),
    ("POST", "/api/runs", {"intentId": "ih_" + "0" * 64}, {"starter"}),
    ("POST", "/api/ops/sleep?wf=s&sleep=1", None, {"starter", "operator"}),
    ("POST", "/api/runs/x/approve-plan", {"approvedBy": "a"}, {"approver"}),
    ("POST", "/api/runs/x/gates/g/reply", {"payload": {}, "dedupeKey": "1", "origin": "a"}, {"approver"}),
    *(
        ("POST", f"/api/ops/wf/x/{action}", {"actor": "a", "reason": "b", **more}, {"operator"})
        for action, more in (("cancel", {}), ("resume", {}), ("fork", {"stepN": 0}))
    ),
    *(
        ("GET", path, None, set(ROLES))
        for path in (
            "/api/runs/x", "/api/runs/x/steps", "/api/runs/x/gates", "/api/runs/x/artifacts",
            "/api/artifacts/1", "/api/ops/wf", "/api/ops/wf/x", "/api/ops/wf/x/steps", "/api/ops/queue-depth",
        )
    ),
]  # fmt: skip


def test_each_role_may_do_what_it_is_for(guarded: Api, conn: psycopg.Connection[Any]) -> None:
    allowed: dict[str, set[str]] = {}
    for method, path, body, _ in ROUTES:
        for role in ROLES:
            answer = guarded.http.request(method, path, json=body, headers=auth(role))
            if answer.status_code == 403:
                assert answer.json()["code"] == "role_missing"
            else:
                assert answer.status_code in (200, 201, 202, 404), (path, role, answer.text)
                allowed.setdefault(f"{method} {path}", set()).add(role)
    assert allowed == {f"{method} {path}": roles for method, path, _, roles in ROUTES}


def test_every_route_is_in_the_table(guarded: Api) -> None:
    document = guarded.get("/openapi.json").json()
    assert sum(len(operations) for operations in document["paths"].values()) == len(ROUTES)


@pytest.mark.parametrize(
    "header",
    [{}, {"authorization": "Bearer nope"}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"},
     {"authorization": "Bearer " + "é" * 20}],
    ids=["none", "unknown", "basic", "empty", "not ascii"],
)  # fmt: skip
def test_without_a_token_nothing_is_told(
    guarded: Api, conn: psycopg.Connection[Any], header: dict[str, str]
) -> None:
    before = everything(conn)
    encoded = [(name.encode(), value.encode()) for name, value in header.items()]
    for method, path, body, _ in ROUTES:
        answer = guarded.http.request(method, path, json=body, headers=encoded)
        assert answer.status_code == 401, path
        assert answer.json()["code"] in ("token_missing", "token_unknown")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert everything(conn) == before


def test_401_comes_before_400(guarded: Api) -> None:
    assert guarded.post("/api/runs", b"{").status_code == 401
    assert guarded.post("/api/runs", b"{", headers=auth("viewer")).status_code == 403
    assert guarded.post("/api/runs", b"{", headers=auth("starter")).status_code == 400


def test_names_come_from_the_token(guarded: Api, conn: psycopg.Connection[Any]) -> None:
    http = guarded.http
    intent = {"goal": "g", "inputs": {}, "constraints": {}}
    run = http.post("/api/intents", json=intent, headers=auth("starter")).json()["intentId"]
    start = {"intentId": run, "recipeName": "gated", "startedBy": "somebody else"}
    assert http.post("/api/runs", json=start, headers=auth("starter")).status_code == 201
    work(conn)
    approve = {"approvedBy": "somebody else"}
    assert (
        http.post(f"/api/runs/{run}/approve-plan", json=approve, headers=auth("approver")).status_code == 202
    )
    reply = {"payload": {}, "dedupeKey": "1", "origin": "somebody else"}
    assert (
        http.post(f"/api/runs/{run}/gates/size/reply", json=reply, headers=auth("approver")).status_code
        == 200
    )
    cancel = {"actor": "somebody else", "reason": "x"}
    assert http.post(f"/api/ops/wf/{run}/cancel", json=cancel, headers=auth("operator")).status_code == 202
    assert (
        http.post(f"/api/ops/wf/{run}/resume", json={"reason": "x"}, headers=auth("operator")).status_code
        == 202
    )
    who = conn.execute(
        "select started_by, array(select inline ->> 'actor' from app.artifacts where step_id = 'OPS'"
        " order by artifact_id) from app.runs"
    ).fetchone()
    assert who == ("starter-ann", ["approver-ann", "approver-ann", "operator-ann", "operator-ann"])
    origins = conn.execute("select array_agg(distinct origin) from app.gate_replies").fetchone()
    assert origins == (["approver-ann"],)


def test_who_starts_a_run_may_not_approve_it_in_anothers_name(
    dsn: str, conn: psycopg.Connection[Any]
) -> None:
    gate = {"key": "approve-plan", "selfApproval": False}
    steps = [{"stepId": "A", "handler": "t/a"}, {"stepId": "B", "handler": "t/b", "gate": gate}]
    from sisu_kodo.client import Client

    Client(conn).put_recipe({"name": "strict", "steps": steps})
    tokens = load_tokens(
        load_config(tokens="ann:starter+approver:ann-0123456789abcdef,bob:approver:bob-0123456789abcdef")
    )
    ann, bob = ({"authorization": f"Bearer {name}-0123456789abcdef"} for name in ("ann", "bob"))
    with serving(dsn, tokens=tokens) as api:
        intent = {"goal": "g", "inputs": {}, "constraints": {}}
        run = api.http.post("/api/intents", json=intent, headers=ann).json()["intentId"]
        assert (
            api.http.post(
                "/api/runs", json={"intentId": run, "recipeName": "strict"}, headers=ann
            ).status_code
            == 201
        )
        work(conn)
        path = f"/api/runs/{run}/approve-plan"
        refused = api.http.post(path, json={"approvedBy": "bob"}, headers=ann)
        assert (refused.status_code, refused.json()["code"]) == (403, "self_approval")
        assert api.http.post(path, json={}, headers=bob).status_code == 202


def test_a_page_from_elsewhere_cannot_post(api: Api, conn: psycopg.Connection[Any]) -> None:
    before = everything(conn)
    body = {"goal": "evil", "inputs": {}, "constraints": {}}
    own = api.url.removeprefix("http://")
    for header in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"http://{own}.evil.example"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://["},
        {"origin": "localhost"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        answer = api.post("/api/intents", body, headers=header)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin"), header
    assert everything(conn) == before
    mine = {"origin": api.url, "sec-fetch-site": "same-origin"}
    assert api.post("/api/intents", body, headers=mine).status_code == 201


def test_a_foreign_name_for_this_machine_is_refused(api: Api) -> None:
    port = api.url.rpartition(":")[2]
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "",
        "localhost.evil.example:80",
    ):
        answer = api.get("/api/ops/wf", headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "host_not_allowed"), host
    for host in ("localhost", f"LOCALHOST:{port}", "[::1]:80", "127.0.0.1"):
        assert api.get("/api/ops/wf", headers={"host": host}).status_code == 200


def test_nobody_may_read_it_from_another_origin(api: Api) -> None:
    answer = api.get("/api/ops/wf", headers={"origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_the_shim_has_only_the_rights_of_app_api(api: Api, conn: psycopg.Connection[Any]) -> None:
    api.run()
    roles = conn.execute(
        "select distinct usename from pg_stat_activity where application_name = 'sisu api'"
        " and datname = current_database()"
    ).fetchall()
    assert roles == [("postgres",)], "the login is the superuser"
    conn.execute("revoke execute on function app.list_runs(jsonb) from app_api")
    assert api.get("/api/ops/wf").status_code == 500, "and yet it may do what app_api may"
    conn.execute("grant execute on function app.list_runs(jsonb) to app_api")
    assert api.get("/api/ops/wf").status_code == 200
