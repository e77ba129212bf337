"""`sisu ops` against runs in every status: what it prints, does, refuses and exits with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner, Result
from psycopg import Connection

from sisu_kodo.cli.main import main
from tests.concurrency.races_support import age_leases, done, one, recipe, register, start, work
from tests.conftest import ROOT

SIGNED = ("--actor", "ann", "--reason", "because")
ERROR = {"status": "ERROR", "error": {"code": "broken", "message": "it did not work\nat all"}}


@dataclass(frozen=True)
class Duty:
    """A database with one run in each status; `runs` is {status: id}, `set_up` the last artifact before."""

    conn: Connection[Any]
    runs: dict[str, str]
    set_up: int

    def status(self, run_id: str) -> str:
        return str(one(self.conn, "select status from app.runs where run_id = %s", run_id))

    def audit(self) -> list[tuple[str, str, str, str]]:
        """`(op, actor, reason, target)` of every control action since the set-up, in order."""
        rows = self.conn.execute(
            "select inline ->> 'op', inline ->> 'actor', inline ->> 'reason', run_id"
            " from app.artifacts where step_id = 'OPS' and artifact_id > %s order by artifact_id",
            [self.set_up],
        )
        return [(op, actor, reason, target) for op, actor, reason, target in rows.fetchall()]


@pytest.fixture
def duty(conn: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Duty:
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("SISU_HOME", str(tmp_path / ".sisu"))
    recipe(conn, "plain", {}, {})
    recipe(conn, "gated", {"gate": {"key": "sign-off", "title": "Sign off", "ttlMS": 3600000}})
    register(conn, "w")
    runs = {"SUCCESS": start(conn, "good", "plain")}
    for _ in range(2):
        finish(conn)
    runs["ERROR"] = start(conn, "bad", "plain", queuePartitionKey="acme")
    finish(conn)
    finish(conn, **ERROR)
    runs["MAX_RECOVERY_ATTEMPTS_EXCEEDED"] = start(conn, "deadly", "plain")
    conn.execute("update app.queues set max_recoveries = 0")
    work(conn, "w", queues={"intentQ": 1})
    age_leases(conn)
    work(conn, "w", recover=True)
    conn.execute("update app.queues set max_recoveries = 5")
    runs["PENDING"] = start(conn, "works", "plain")
    work(conn, "w", queues={"intentQ": 1})
    runs["CANCELLED"] = start(conn, "stopped", "plain")
    conn.execute("select app.cancel_run(%s, 'bob', 'early')", [runs["CANCELLED"]])
    runs["WAITING_INPUT"] = start(conn, "waits", "gated")
    runs["ENQUEUED"] = start(conn, "in line", "plain")
    duty = Duty(conn, runs, one(conn, "select max(artifact_id) from app.artifacts"))
    assert {duty.status(run_id): run_id for run_id in runs.values()} == runs
    return duty


def finish(conn: Connection[Any], **more: Any) -> None:
    """Claim the next step and end it."""
    (lane,) = work(conn, "w", queues={"intentQ": 1})
    work(conn, "w", [done(lane, **more)], drain=True)


def sisu(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["ops", *words], input=stdin, catch_exceptions=False)


def parsed(result: Result) -> Any:
    return json.loads(result.stdout)


def everything(conn: Connection[Any]) -> list[Any]:
    """Every row that a control action could change."""
    tables = ("runs", "run_steps", "artifacts", "gates", "timers", "queues")
    return [
        one(conn, f"select jsonb_agg(to_jsonb(t) order by t::text) from app.{name} as t") for name in tables
    ]


ACTIONS: dict[str, tuple[tuple[str, ...], Callable[[str], str]]] = {
    "cancel": (("ENQUEUED", "PENDING", "WAITING_INPUT"), lambda _: "CANCELLED"),
    "resume": (("ENQUEUED", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"), lambda _: "ENQUEUED"),
    "repair": (("ERROR",), lambda _: "ENQUEUED"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_one_call_that_reports_on_every_run(duty: Duty, action: str) -> None:
    legal, becomes = ACTIONS[action]
    words = [*duty.runs.values(), "nobody"]
    before = everything(duty.conn)
    dry = sisu(action, *words, *SIGNED, "--dry-run", "--json")
    assert everything(duty.conn) == before, "a dry run writes nothing"

    result = sisu(action, *words, *SIGNED, "--json")
    rows = parsed(result)
    assert [row["run_id"] for row in rows] == words
    for (status, run_id), row in zip(duty.runs.items(), rows, strict=False):
        assert row["accepted"] == (status in legal), status
        assert row["status"] == duty.status(run_id) == (becomes(status) if status in legal else status)
        assert row["code"] == (None if status in legal else "illegal_transition")
    assert rows[-1] == {"run_id": "nobody", "accepted": False, "status": None, "code": "run_not_found",
                        "message": "no run nobody", "forked_run_id": None}  # fmt: skip
    accepted = [(row["run_id"], row["accepted"]) for row in rows]
    assert accepted == [(row["run_id"], row["accepted"]) for row in parsed(dry)]
    told = [(action, "ann", "because", duty.runs[status]) for status in duty.runs if status in legal]
    assert duty.audit() == told
    assert result.exit_code == dry.exit_code == 4, "the first refusal is a conflict"
    assert one(duty.conn, "select count(*) from app.v_invariants") == 0


def test_the_exit_code_is_that_of_the_first_refusal(duty: Duty) -> None:
    assert sisu("cancel", "nobody", duty.runs["SUCCESS"], *SIGNED).exit_code == 3
    assert sisu("cancel", duty.runs["SUCCESS"], "nobody", *SIGNED).exit_code == 4
    assert sisu("cancel", duty.runs["ENQUEUED"], *SIGNED).exit_code == 0


def test_without_json_there_is_a_line_per_run(duty: Duty) -> None:
    good, line = duty.runs["SUCCESS"], duty.runs["ENQUEUED"]
    result = sisu("cancel", good, line, "nobody", *SIGNED)
    assert result.stdout.splitlines() == [
        f"{good}  cancel: refused, it is SUCCESS",
        f"{line}  cancel: CANCELLED",
        "nobody  cancel: refused, there is no such run",
    ]
    assert result.stderr == "1 done, 2 refused\n"
    dry = sisu("cancel", duty.runs["PENDING"], *SIGNED, "--dry-run")
    assert dry.stdout == f"{duty.runs['PENDING']}  cancel (dry run): PENDING\n"


def test_ids_come_from_a_pipe(duty: Duty) -> None:
    failed = sisu("list-failed", "--ids")
    assert failed.stdout == f"{duty.runs['ERROR']}\n"
    result = sisu("repair", *SIGNED, "--json", stdin=f"\n {failed.stdout}{failed.stdout}")
    assert [row["accepted"] for row in parsed(result)] == [True], "the same id twice is one run"
    assert duty.status(duty.runs["ERROR"]) == "ENQUEUED"


def test_more_than_a_thousand_ids_are_several_calls(duty: Duty) -> None:
    ids = [f"nobody-{n}" for n in range(1500)]
    result = sisu("cancel", *SIGNED, "--json", stdin="\n".join([*ids, duty.runs["ENQUEUED"]]))
    rows = parsed(result)
    assert [row["run_id"] for row in rows] == [*ids, duty.runs["ENQUEUED"]]
    assert rows[-1]["accepted"]
    assert result.exit_code == 3


def test_what_was_done_before_a_refused_call_is_told(duty: Duty) -> None:
    ids = [duty.runs["ENQUEUED"], *(f"nobody-{n}" for n in range(999)), "x" * 201]
    result = sisu("cancel", *SIGNED, "--json", stdin="\n".join(ids))
    assert (result.exit_code, "selection.runIds[0]" in result.stderr) == (2, True)
    assert [row["run_id"] for row in parsed(result)] == ids[:1000]
    assert duty.status(duty.runs["ENQUEUED"]) == "CANCELLED"


def test_a_filter_stands_for_ids(duty: Duty) -> None:
    rows = parsed(sisu("cancel", "--filter", '{"name": "plain"}', *SIGNED, "--json"))
    assert {row["run_id"] for row in rows} == {duty.runs["PENDING"], duty.runs["ENQUEUED"]}
    assert sisu("repair", "--filter", '{"errorCode": "other"}', *SIGNED).stderr == "no runs fit\n"
    unknown = sisu("repair", "--filter", '{"state": "ERROR"}', *SIGNED)
    assert (unknown.exit_code, "selection.filter.state: is unknown" in unknown.stderr) == (2, True)


WRONG: list[tuple[tuple[str, ...], str]] = [
    (("cancel", "--reason", "x"), "no run ids"),
    (("cancel", "a"), "--reason"),
    (("cancel", "a", "--filter", "{}", "--reason", "x"), "not both"),
    (("cancel", "--filter", "{", "--reason", "x"), "--filter is not JSON"),
    (("fork", "a", "--reason", "x"), "--step"),
    (("fork", "a", "--step", "0", "--inputs", "[", "--reason", "x"), "--inputs is not JSON"),
    (("fork", "a", "--step", "0", "--inputs", "[]", "--reason", "x"), "inputs: must be an object"),
    (("cancel", "a", "--reason", " "), "reason: must not be blank"),
    (("pause", "--reason", "x"), "QUEUE"),
    (("limits", "sbxQ", "--reason", "x"), "at least one limit"),
    (("limits", "sbxQ", "--max-running", "-1", "--reason", "x"), "neither a number nor none"),
    (("limits", "sbxQ", "--max-running", "0", "--reason", "x"), "limits.maxRunning: must be between"),
    (("limits", "sbxQ", "--rate", "50", "--reason", "x"), "rate like 50/30s"),
    (("weight", "sbxQ", "acme", "101", "--reason", "x"), "'WEIGHT'"),
    (("redrive", "intentQ", "--max", "1001", "--reason", "x"), "--max"),
    (("explain",), "no run ids"),
    (("diff", "a"), "'B'"),
    (("inbox", "--kind", "bad"), "--kind"),
]


def test_wrong_usage_is_exit_code_2_and_writes_nothing(duty: Duty) -> None:
    before = everything(duty.conn)
    for words, said in WRONG:
        result = sisu(*words, stdin="")
        assert (result.exit_code, said in result.stderr) == (2, True), (words, result.stderr)
    assert everything(duty.conn) == before


def test_one_partition_is_paused(duty: Duty) -> None:
    assert sisu("pause", "sbxQ", "--partition", "acme", *SIGNED).stdout.startswith("sbxQ/acme  paused since")
    assert "app.unpause_partition('sbxQ', 'acme'" in sisu("inbox", "--kind", "paused partition").stdout
    assert parsed(sisu("unpause", "sbxQ", "--partition", "acme", *SIGNED, "--json"))["paused"] is False
    assert sisu("unpause", "sbxQ", "--partition", "acme", *SIGNED).exit_code == 4
    assert duty.audit() == [(op, "ann", "because", "queue/sbxQ/acme") for op in ("pause", "unpause")]


def test_limits_and_weights(duty: Duty) -> None:
    words = ("limits", "sbxQ", "--max-running", "10", "--rate", "50/30s", "--max-running-per-partition", "3")
    assert sisu(*words, *SIGNED, "--dry-run").stdout == (
        "sbxQ  10 at once, 50/30s, 3 at once per partition (dry run: not set)\n"
    )
    told = parsed(sisu(*words, "--rate-per-partition", "2/1m", *SIGNED, "--json"))
    assert told["limits"] == {
        "maxRunning": 10, "maxRunningPerPartition": 3, "maxRunningPerWorker": None, "ageingSeconds": 600,
        "rate": {"limit": 50, "seconds": 30}, "ratePerPartition": {"limit": 2, "seconds": 60},
    }  # fmt: skip
    assert "50/30s" in sisu("queues").stdout
    assert sisu("limits", "sbxQ", "--rate", "none", "--ageing", "none", *SIGNED).stdout == (
        "sbxQ  10 at once, 3 at once per partition, 2/60s per partition, no ageing\n"
    )
    assert sisu("weight", "sbxQ", "acme", "3", "--max-running", "5", *SIGNED).stdout == (
        "sbxQ/acme  weight 3, 5 at once\n"
    )
    assert parsed(sisu("weight", "sbxQ", "acme", "1", "--max-running", "none", *SIGNED, "--json")) == {
        "accepted": True, "queueName": "sbxQ", "partition": "acme", "weight": 1, "maxRunning": None,
        "dryRun": False,
    }  # fmt: skip
    assert sisu("limits", "noQ", "--rate", "1/1s", *SIGNED).exit_code == 3


def test_fork_makes_forks_and_diff_compares_them(duty: Duty) -> None:
    bad, good = duty.runs["ERROR"], duty.runs["SUCCESS"]
    rows = parsed(sisu("fork", bad, good, duty.runs["ENQUEUED"], "--step", "1", "--app-version", "v2",
                       "--inputs", '{"n": 1}', *SIGNED, "--json"))  # fmt: skip
    assert [(row["accepted"], row["forked_run_id"]) for row in rows] == [
        (True, f"{bad}-f1"),
        (True, f"{good}-f1"),
        (False, None),
    ]
    assert one(duty.conn, "select app_version from app.runs where run_id = %s", f"{bad}-f1") == "v2"
    told = parsed(sisu("diff", bad, f"{bad}-f1", "--json"))
    assert [(row["step_id"], row["status_b"], row["cached"]) for row in told] == [
        ("S0", "SUCCESS", True),
        ("S1", "ENQUEUED", False),
    ]
    plain = sisu("diff", bad, f"{bad}-f1")
    assert "cached" in plain.stdout and f"b  {bad}-f1" in plain.stdout
    assert sisu("diff", bad, "nobody").exit_code == 3


def test_redrive_resumes_what_died_on_a_queue(duty: Duty) -> None:
    dead = duty.runs["MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
    assert sisu("redrive", "sbxQ", *SIGNED).stderr == "no runs fit\n"
    assert sisu("redrive", "intentQ", *SIGNED, "--dry-run").stdout == (
        f"{dead}  resume (dry run): MAX_RECOVERY_ATTEMPTS_EXCEEDED\n"
    )
    assert [row["run_id"] for row in parsed(sisu("redrive", "intentQ", *SIGNED, "--json"))] == [dead]
    assert duty.status(dead) == "ENQUEUED"
    assert sisu("redrive", "noQ", *SIGNED).exit_code == 3


def test_pause_and_unpause(duty: Duty) -> None:
    assert parsed(sisu("pause", "sbxQ", *SIGNED, "--dry-run", "--json"))["paused"] is False
    assert parsed(sisu("pause", "sbxQ", *SIGNED, "--json"))["paused"] is True
    again = sisu("pause", "sbxQ", *SIGNED)
    assert (again.exit_code, "app.unpause_queue" in again.stderr) == (4, True)
    paused = [row for row in parsed(sisu("queues", "--json")) if row["paused_at"]]
    assert [(row["queue_name"], row["paused_by"]) for row in paused] == [("sbxQ", "ann")]
    assert "by ann: because" in sisu("queues").stdout
    assert sisu("unpause", "sbxQ", *SIGNED).stdout == "sbxQ  served\n"
    assert sisu("unpause", "sbxQ", *SIGNED).exit_code == 4
    assert sisu("unpause", "noQ", *SIGNED).exit_code == 3
    assert duty.audit() == [(op, "ann", "because", "queue/sbxQ") for op in ("pause", "unpause")]


def test_the_inbox_shows_what_needs_a_human(duty: Duty) -> None:
    rows = parsed(sisu("inbox", "--json"))
    assert [(row["kind"], row["run_id"]) for row in rows] == [
        ("gate", duty.runs["WAITING_INPUT"]),
        ("dead lane", duty.runs["MAX_RECOVERY_ATTEMPTS_EXCEEDED"]),
        ("failed", duty.runs["ERROR"]),
    ]
    text = sisu("inbox").stdout
    for row in rows:
        assert f"\n  {row['call']};\n" in text, "every call stands on a line of its own, to be pasted"
    assert text.startswith("1 gate, 1 dead lane, 1 failed\n")
    assert max(map(len, text.splitlines())) < 300
    assert "it did not work" in text and "at all" not in text, "the first line of an error says enough"
    assert sisu("inbox", "--kind", "failed", "--ids").stdout == f"{duty.runs['ERROR']}\n"
    for row in rows:
        duty.conn.execute(row["call"].encode())
    assert sisu("inbox").stdout == "nothing needs a human\n"


def test_the_inbox_shows_so_many_of_a_kind(duty: Duty) -> None:
    assert len({start(duty.conn, f"gate {n}", "gated") for n in range(3)}) == 3
    text = sisu("inbox", "--limit", "1").stdout
    assert text.startswith("4 gate, ")
    assert text.count("reply_gate") == 1
    assert "3 more: sisu ops inbox --kind 'gate' --limit 4" in text


def test_ids_and_json_of_the_inbox_are_as_many_as_asked_for(duty: Duty) -> None:
    gates = [duty.runs["WAITING_INPUT"], *(start(duty.conn, f"gate {n}", "gated") for n in range(24))]
    assert len(parsed(sisu("inbox", "--limit", "1", "--json"))) == 3, "one of each kind"
    assert len(sisu("inbox", "--limit", "2", "--kind", "gate", "--ids").stdout.split()) == 2
    assert sorted(sisu("inbox", "--kind", "gate", "--ids").stdout.split()) == sorted(gates), "else all"


def test_list_failed_says_what_failed(duty: Duty) -> None:
    page = parsed(sisu("list-failed", "--json"))
    assert [run["workflowID"] for run in page["runs"]] == [duty.runs["ERROR"]]
    text = sisu("list-failed").stdout
    assert text.splitlines()[0] == duty.runs["ERROR"]
    assert "plain v1  S1  broken: it did not work" in text
    assert sisu("list-failed", "--recipe", "gated").stdout == "no runs\n"


def test_gates_name_the_call_that_answers(duty: Duty) -> None:
    rows = parsed(sisu("gates", "--json"))
    assert [row["run_id"] for row in rows] == [duty.runs["WAITING_INPUT"]]
    text = sisu("gates").stdout
    assert "sign-off  approval before S0" in text and "Sign off" in text
    assert f"  {rows[0]['answer_with']};\n" in text
    assert sisu("gates", "--ids").stdout == f"{duty.runs['WAITING_INPUT']}\n"
    duty.conn.execute(rows[0]["answer_with"].encode())
    assert sisu("gates").stdout == "no gate is open\n"


def test_explain_says_why(duty: Duty) -> None:
    one_run = parsed(sisu("explain", duty.runs["WAITING_INPUT"], "--json"))
    assert one_run["held_by"] == "a human"
    several = parsed(sisu("explain", "--json", stdin="\n".join(duty.runs.values())))
    assert [row["status"] for row in several] == list(duty.runs)
    assert "waits for a human" in sisu("explain", duty.runs["WAITING_INPUT"]).stdout
    assert sisu("explain", "nobody").exit_code == 3


def test_slow_steps_and_queues_fit_the_screen(duty: Duty) -> None:
    rows = parsed(sisu("slow", "--json"))
    assert {(row["recipe"], row["step_id"]) for row in rows} == {("plain", "S0"), ("plain", "S1")}
    for command in ("slow", "queues"):
        text = sisu(command).stdout
        assert max(map(len, text.splitlines())) <= 100, text


def test_every_command_has_help_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    acts = ["cancel", "resume", "repair", "fork", "redrive", "pause", "unpause", "limits", "weight", "purge"]
    views = ["inbox", "explain", "list-failed", "gates", "diff", "slow", "queues", "schedules"]
    assert sorted(main.commands["ops"].commands) == sorted(acts + views)  # type: ignore[attr-defined]
    assert "sisu ops list-failed --ids | sisu ops repair" in sisu("--help").stdout
    for name in acts + views:
        result = sisu(name, "--help")
        assert (result.exit_code, "--json" in result.stdout) == (0, True), name


def test_make_runs_them(duty: Duty, dsn: str) -> None:
    """The targets of the field manual, as processes: ids through a pipe, exit codes and all."""

    def make(target: str, arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        sisu_program = f"SISU={sys.executable} -m sisu_kodo"
        words = [
            "make",
            "--no-print-directory",
            "-o",
            ".venv/.installed",
            target,
            sisu_program,
            f"ARGS={arguments}",
        ]
        return subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, cwd=ROOT)

    failed = make("ops:list-failed", "--ids")
    assert failed.stdout == f"{duty.runs['ERROR']}\n", failed.stderr
    forked = make("ops:fork-batch", "--step 1 --reason again --json", failed.stdout)
    assert [row["forked_run_id"] for row in json.loads(forked.stdout)] == [f"{duty.runs['ERROR']}-f1"]
    assert json.loads(make("ops:cancel-batch", f"--reason x --json {duty.runs['ENQUEUED']}").stdout)[0][
        "accepted"
    ]
    assert json.loads(make("ops:resume-batch", "--reason x --json", duty.runs["ENQUEUED"]).stdout)[0][
        "accepted"
    ]
    assert json.loads(make("ops:repair-batch", "--reason x --json", duty.runs["ERROR"]).stdout)[0]["accepted"]
    assert make("ops:cancel-batch", "--reason x", "nobody").returncode != 0
    assert make("ops:sql:inbox", "").stdout.startswith("1 gate, ")
    for target in ("ops:sql:slow", "ops:sql:queues"):
        assert make(target, "").returncode == 0
