"""Every route with its statuses; a refused request has written nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.http.http_support import Api, everything, work

MISSING = "ih_" + "0" * 64


@pytest.fixture(autouse=True)
def _refusals_write_nothing(api: Api, conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Around every request: all tables hash the same before and after a 4xx or a read."""
    before = [""]

    def ask(request: Any) -> None:
        before[0] = everything(conn)

    def check(response: Any) -> None:
        if response.status_code >= 400 or response.request.method == "GET":
            assert everything(conn) == before[0], "a refused request, or a read, has written"

    api.http.event_hooks = {"request": [ask], "response": [check]}
    yield


def paths_of(answer: Any) -> list[str]:
    assert answer.status_code == 400, answer.text
    return [detail["path"] for detail in answer.json()["details"]]


def test_an_intent_is_created_once(api: Api) -> None:
    body = {
        "goal": "Hello bob",
        "inputs": {"n": 3},
        "constraints": {
            "stepLibrary": {
                "primitives": [
                    "Collect", "Fetch", "Extract", "Normalize", "Decide", "Act", "Report", "Legacy",
                ]
            }
        },
    }  # fmt: skip
    vector = "ih_17e8647fcabb1957b67f173a68148d8f7ee5acf029d791d4560b812ddeb9a0cd"
    first, second = api.post("/api/intents", body), api.post("/api/intents", body)
    assert (first.status_code, first.json()) == (201, {"intentId": vector, "isReplay": False})
    assert (second.status_code, second.json()) == (200, {"intentId": vector, "isReplay": True})


def test_an_intents_faults_are_all_listed(api: Api) -> None:
    assert paths_of(api.post("/api/intents", b"")) == ["constraints", "goal", "inputs"]
    assert paths_of(api.post("/api/intents", {"goal": " ", "inputs": [], "more": 1})) == [
        "constraints", "goal", "inputs", "more",
    ]  # fmt: skip


def test_a_body_is_json_whatever_its_content_type_says(api: Api) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json", ""):
        body = {"goal": f"as {kind}", "inputs": {}, "constraints": {}}
        assert api.post("/api/intents", body, headers={"content-type": kind}).status_code == 201


def test_a_run_is_started_once(api: Api) -> None:
    intent = api.intent()
    body = {"intentId": intent, "recipeName": "plain", "queuePartitionKey": "p"}
    first, second = api.post("/api/runs", body), api.post("/api/runs", body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["location"] == f"/api/runs/{intent}"
    header = first.json()
    assert header["workflowID"] == intent
    assert header["isReplay"] is False
    assert second.json()["isReplay"] is True
    assert (header["status"], header["queuePartitionKey"]) == ("ENQUEUED", "p")
    assert header["recipe"] == {"name": "plain", "version": 1}


def test_the_header_has_the_fields_of_the_contract(api: Api) -> None:
    wanted = [
        "workflowID", "status", "workflowName", "recipe", "queueName", "queuePartitionKey", "createdAt",
        "updatedAt", "nextAction", "lastStep", "error", "traceId", "traceUrl", "appVersion", "ocMode",
        "sbxMode", "forkedFrom", "stale",
    ]  # fmt: skip
    assert set(wanted) <= set(api.get(f"/api/runs/{api.run()}").json())


def test_a_start_that_differs_is_drift(api: Api) -> None:
    run = api.run()
    answer = api.post("/api/runs", {"intentId": run, "recipeName": "gated", "lane": "batch"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "drift"
    assert {drift["field"] for drift in answer.json()["drift"]} == {"recipeName", "lane", "priority"}


STARTS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["intentId"]),
    ({"intentId": None}, ["intentId"]),
    ({"intentId": 5}, ["intentId"]),
    ({"intentId": {"a": 1}}, ["intentId"]),
    ({"intentId": MISSING, "lane": "fast", "priority": -1, "x": 1}, ["lane", "priority", "x"]),
    ({"intentId": MISSING, "intent": {}}, ["intent"]),
    ({"intentId": MISSING, "budget": {"steps": "1", "y": 2}}, ["budget.steps", "budget.y"]),
]


def test_a_starts_faults_are_all_listed(api: Api) -> None:
    assert [paths_of(api.post("/api/runs", body)) for body, _ in STARTS] == [paths for _, paths in STARTS]


def test_a_partitioned_queue_wants_a_key(api: Api, conn: psycopg.Connection[Any]) -> None:
    conn.execute("select app.set_queue_partitioning(true)")
    intent = api.intent()
    for body in ({"intentId": intent}, {"intentId": intent, "queuePartitionKey": "  "}):
        answer = api.post("/api/runs", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "queue_policy_violation")
    assert conn.execute("select count(*) from app.runs").fetchone() == (0,)


def test_what_is_not_there_is_404(api: Api) -> None:
    answers = {
        "intent_not_found": [api.post("/api/runs", {"intentId": MISSING})],
        "recipe_not_found": [api.post("/api/runs", {"intentId": api.intent(), "recipeName": "nope"})],
        "run_not_found": [
            *(
                api.get(f"/api/runs/{run}{rest}")
                for run in (MISSING, "sleep_9", "x")
                for rest in ("", "/steps")
            ),
            *(api.get(f"/api/runs/{MISSING}{rest}") for rest in ("/gates", "/artifacts", "?wait=5")),
            *(api.get(f"/api/ops/wf/{MISSING}{rest}") for rest in ("", "/steps")),
            *(
                api.post(f"/api/ops/wf/{MISSING}/{action}", {"actor": "a", "reason": "b"})
                for action in ("cancel", "resume")
            ),
            api.post(f"/api/ops/wf/{MISSING}/fork", {"stepN": 0, "actor": "a", "reason": "b"}),
            api.post(f"/api/runs/{MISSING}/approve-plan", {"approvedBy": "a"}),
        ],
        "gate_not_found": [
            api.post(
                f"/api/runs/{api.run()}/gates/no/reply", {"payload": {}, "dedupeKey": "1", "origin": "a"}
            )
        ],
        "artifact_not_found": [api.get("/api/artifacts/999999")],
        "route_not_found": [api.get("/api/nope"), api.get("/api/runs/"), api.get("/api/ops/wf/x/repair")],
    }
    told = {code: {(a.status_code, a.json()["code"]) for a in found} for code, found in answers.items()}
    assert told == {code: {(404, code)} for code in answers}
    assert all(a.json()["hint"] for found in answers.values() for a in found)


def test_400_comes_before_404(api: Api) -> None:
    assert paths_of(api.post(f"/api/ops/wf/{MISSING}/cancel", b"")) == ["actor", "reason"]
    assert paths_of(api.post(f"/api/runs/{MISSING}/approve-plan", {"approvedBy": 5})) == ["approvedBy"]


IDS_AND_QUERIES = [
    "/api/runs/a%20b", "/api/runs/%00", "/api/runs/-x/steps", f"/api/ops/wf/{'x' * 201}",
    "/api/artifacts/abc", "/api/artifacts/0", "/api/artifacts/9223372036854775808", "/api/artifacts/1.5",
    f"/api/runs/{MISSING}?wait=61", f"/api/runs/{MISSING}?wait=nan", f"/api/runs/{MISSING}/gates?since=x",
    "/api/ops/wf?limit=0", "/api/ops/wf?limit=x", "/api/ops/wf?status=DONE", "/api/ops/wf?cursor=x",
    "/api/ops/wf?colour=red", "/api/ops/wf?limit=1&limit=2", "/api/ops/wf?name=%00",
    "/api/ops/wf?limit=99999999999999999999",
]  # fmt: skip


def test_ids_and_queries_are_checked(api: Api) -> None:
    assert [path for path in IDS_AND_QUERIES if len(paths_of(api.get(path))) != 1] == []


METHODS = [
    ("GET", "/api/intents", "POST"),
    ("DELETE", "/api/runs", "POST"),
    ("POST", f"/api/runs/{MISSING}", "GET, HEAD"),
    ("PUT", f"/api/ops/wf/{MISSING}/cancel", "POST"),
    ("OPTIONS", "/api/ops/wf", "GET, HEAD"),
    ("PATCH", "/api/artifacts/1", "GET, HEAD"),
]


def test_a_wrong_method_is_405_and_says_which(api: Api) -> None:
    answers = [(api.http.request(method, path), allow) for method, path, allow in METHODS]
    assert {(a.status_code, a.json()["code"]) for a, _ in answers} == {(405, "method_not_allowed")}
    assert [a.headers["allow"] for a, _ in answers] == [allow for _, allow in answers]


def test_head_is_get_without_the_body(api: Api) -> None:
    run = api.run()
    for path in (f"/api/runs/{run}", "/api/ops/wf", "/openapi.json", "/api/runs/nope"):
        head, get = api.http.head(path), api.get(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
    assert api.http.head("/api/runs").headers["allow"] == "POST"


def test_a_plan_is_approved(api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run(recipe="gated")
    assert api.get(f"/api/runs/{run}/gates").json() == []
    assert work(conn) == ["A"]
    header = api.get(f"/api/runs/{run}").json()
    assert (header["status"], header["nextAction"]) == ("WAITING_INPUT", "APPROVE_PLAN")
    (gate,) = api.get(f"/api/runs/{run}/gates").json()
    assert (gate["gateKey"], gate["status"]) == ("approve-plan", "OPEN")

    stale = api.post(f"/api/runs/{run}/approve-plan", {"approvedBy": "ann", "shownSha256": "0" * 64})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_approval")
    body = {"approvedBy": "ann", "notes": "read it", "shownSha256": gate["shownSha256"]}
    first, second = (api.post(f"/api/runs/{run}/approve-plan", body) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["accepted"] is True
    assert first.json()["workflowID"] == run
    assert first.json()["approvedAt"] == second.json()["approvedAt"]
    other = api.post(f"/api/runs/{run}/approve-plan", {"approvedBy": "bob"})
    assert (other.status_code, other.json()["code"]) == (409, "dedupe_conflict")
    assert work(conn) == ["B"]


def test_a_plan_is_rejected(api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run(recipe="gated")
    work(conn)
    answer = api.post(
        f"/api/runs/{run}/approve-plan", {"approvedBy": "ann", "decision": "no", "notes": "no tests"}
    )
    assert answer.status_code == 202
    header = api.get(f"/api/runs/{run}").json()
    assert (header["status"], header["nextAction"], header["error"]["code"]) == (
        "ERROR",
        "REPAIR",
        "gate_rejected",
    )


def test_a_gate_is_answered(api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run(recipe="gated")
    path = f"/api/runs/{run}/gates/size/reply"
    ahead = api.post(path, {"payload": {"size": 5}, "dedupeKey": "1", "origin": "ann"})
    assert (ahead.status_code, ahead.json()["ok"], ahead.json()["isReplay"]) == (200, True, False)
    again = api.post(path, {"payload": {"size": 5}, "dedupeKey": "1", "origin": "ann"})
    assert (again.status_code, again.json()["isReplay"]) == (200, True)
    other = api.post(path, {"payload": {"size": 6}, "dedupeKey": "1", "origin": "ann"})
    assert (other.status_code, other.json()["code"]) == (409, "dedupe_conflict")
    assert paths_of(api.post(path, {"payload": [], "origin": 1, "gateKey": "x"})) == [
        "dedupeKey", "gateKey", "origin", "payload",
    ]  # fmt: skip
    api.post(f"/api/runs/{run}/approve-plan", {"approvedBy": "ann"})
    assert work(conn, 3) == ["A", "B", "C"]
    assert api.get(f"/api/runs/{run}").json()["status"] == "SUCCESS"


def test_a_run_is_cancelled_and_resumed(api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run()
    early = api.post(f"/api/ops/wf/{run}/resume", {"actor": "fde", "reason": "x"})
    assert early.status_code == 202, "ENQUEUED: nothing to do"
    body = {"actor": "fde", "reason": "stalled"}
    done = api.post(f"/api/ops/wf/{run}/cancel", body)
    assert (done.status_code, done.json()["accepted"], done.json()["workflowID"]) == (202, True, run)
    assert api.get(f"/api/runs/{run}").json()["status"] == "CANCELLED"
    twice = api.post(f"/api/ops/wf/{run}/cancel", body)
    assert (twice.status_code, twice.json()["status"]) == (409, "CANCELLED")
    assert api.post(f"/api/ops/wf/{run}/resume", body).status_code == 202
    assert work(conn, 2) == ["A", "B"]
    audit = api.get(f"/api/runs/{run}/artifacts").json()
    assert [each["stepID"] for each in audit].count("OPS") == 3
    assert conn.execute(
        "select array_agg(inline->>'op') from app.artifacts where step_id = 'OPS'"
    ).fetchone() == (["resume", "cancel", "resume"],)


def test_a_failed_run_is_forked_not_resumed(api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run()
    work(conn)
    work(conn, status="ERROR", error={"code": "broken", "message": "it broke"})
    refused = api.post(f"/api/ops/wf/{run}/resume", {"actor": "fde", "reason": "x"})
    assert (refused.status_code, refused.json()["status"]) == (409, "ERROR")
    assert "repair" in refused.json()["hint"]
    assert "fork" in refused.json()["hint"]
    forked = api.post(f"/api/ops/wf/{run}/fork", {"stepN": 1, "actor": "fde", "reason": "patch-applied"})
    assert (forked.status_code, forked.json()["forkedWorkflowID"]) == (202, f"{run}-f1")
    steps = api.get(f"/api/runs/{run}-f1/steps").json()
    assert [(s["stepID"], s["status"], s["cachedFrom"]) for s in steps] == [
        ("A", "SUCCESS", run), ("B", "ENQUEUED", None),
    ]  # fmt: skip
    beyond = api.post(f"/api/ops/wf/{run}/fork", {"stepN": 2, "actor": "fde", "reason": "x"})
    assert (beyond.status_code, beyond.json()["code"]) == (409, "fork_out_of_range")
    assert paths_of(api.post(f"/api/ops/wf/{run}/fork", {"stepN": "1", "actor": "", "reason": 5})) == [
        "actor", "reason", "stepN",
    ]  # fmt: skip
    fixed = {"stepN": 0, "actor": "fde", "reason": "x", "inputs": {"n": 1}, "appVersion": "9"}
    assert api.post(f"/api/ops/wf/{run}/fork", fixed).json()["forkedWorkflowID"] == f"{run}-f2"
    assert api.get(f"/api/runs/{run}-f2").json()["appVersion"] == "9"


def test_runs_are_listed_page_by_page(api: Api) -> None:
    runs = [api.run(f"goal {n}") for n in range(5)]
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = api.get(f"/api/ops/wf?limit=2&name=plain{cursor}").json()
        seen += [header["workflowID"] for header in page["runs"]]
        cursor = f"&cursor={page['nextCursor']}"
    assert page["nextCursor"] is None
    assert seen == runs[::-1]
    assert api.get("/api/ops/wf?status=ERROR").json() == {"runs": [], "nextCursor": None}
    assert len(api.get("/api/ops/wf?status=ENQUEUED").json()["runs"]) == 5


def test_the_control_plane_reads_as_the_runs_do(api: Api) -> None:
    run = api.run()
    for rest in ("", "/steps"):
        assert api.get(f"/api/ops/wf/{run}{rest}").json() == api.get(f"/api/runs/{run}{rest}").json()


def test_exactly_six_routes_are_under_wf(api: Api) -> None:
    document = api.get("/openapi.json").json()
    found = [(m, p) for p, ops in document["paths"].items() for m in ops if p.startswith("/api/ops/wf")]
    assert len(found) == 6


def test_queue_depth_is_that_of_the_view(api: Api, conn: psycopg.Connection[Any]) -> None:
    api.run(queuePartitionKey="p")
    rows = {
        (row["queueName"], row["queuePartitionKey"]): row for row in api.get("/api/ops/queue-depth").json()
    }
    view = conn.execute(
        "select queue_name, nullif(partition_key, ''), enqueued, pending from app.v_ops_queue_depth"
    )
    assert {key: (row["enqueued"], row["pending"]) for key, row in rows.items()} == {
        (queue, part): (enqueued, pending) for queue, part, enqueued, pending in view
    }
    assert rows["intentQ", "p"]["enqueued"] == 1


def test_a_run_may_sleep(api: Api) -> None:
    first, second = (api.post("/api/ops/sleep?wf=sleep_1&sleep=60000") for _ in range(2))
    assert (first.status_code, first.json()["isReplay"]) == (202, False)
    assert (second.status_code, second.json()["isReplay"]) == (202, True)
    assert first.json()["wakeAt"] == first.json()["createdAt"] + 60000 == second.json()["wakeAt"]
    other = api.post("/api/ops/sleep?wf=sleep_1&sleep=1")
    assert (other.status_code, other.json()["drift"][0]["field"]) == (409, "sleepMS")
    assert paths_of(api.post("/api/ops/sleep")) == ["sleep", "wf"]
    assert paths_of(api.post("/api/ops/sleep?wf=ih_1&sleep=soon&ms=5")) == ["ms", "sleep", "wf"]
    assert paths_of(api.post("/api/ops/sleep?wf=a&sleep=1", {"wf": "a"})) == [""]


def test_a_body_has_a_limit(api: Api) -> None:
    limit = 1_048_576
    over = b'{"goal": "' + b"x" * limit + b'"}'
    answer = api.post("/api/intents", over)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    ten = api.post("/api/intents", b"[" * 10_000_000)
    assert ten.status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 100_000

    assert api.http.post("/api/intents", content=chunks()).status_code == 413
    assert api.http.post("/api/intents", content=b" " * limit).status_code == 400, "at the limit: read"


def test_answers_may_be_asked_for_again_at_no_cost(api: Api) -> None:
    run = api.run()
    for path in (
        f"/api/runs/{run}",
        f"/api/runs/{run}/steps",
        f"/api/runs/{run}/gates",
        f"/api/runs/{run}/artifacts",
    ):
        tag = api.get(path).headers["etag"]
        again = api.get(path, headers={"if-none-match": f'"x", W/{tag}'})
        assert (again.status_code, again.content) == (304, b"")


def test_a_failure_of_the_database_tells_nothing(api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run()
    conn.execute("alter function app.get_run(text) rename to gone")
    answer = api.get(f"/api/runs/{run}", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["traceId"] == "ab" * 16
    assert "app.get_run" not in answer.text
    conn.execute("alter function app.gone(text) rename to get_run")
    assert api.get(f"/api/runs/{run}").status_code == 200


def test_a_restarted_database_costs_nothing(api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run()
    conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sisu api'"
        " and datname = current_database()"
    )
    assert [api.get(f"/api/runs/{run}").status_code for _ in range(6)] == [200] * 6


def test_error_bodies_are_of_one_shape(api: Api) -> None:
    for answer in (
        api.get("/x"),
        api.post("/api/runs", b"{"),
        api.get("/api/intents"),
        api.get("/api/artifacts/9"),
    ):
        told = json.loads(answer.content)
        assert (
            {"error", "code"}
            <= set(told)
            <= {"error", "code", "details", "drift", "status", "hint", "traceId"}
        )
        assert answer.headers["content-type"] == "application/json"
