"""The local sandbox, with real processes, by every method that this machine has."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sisu_kodo.models import StepError
from sisu_kodo.sbx import Job, Limits, SandboxResult, local, methods, scratch
from sisu_kodo.sbx.methods import Method

_BWRAP = shutil.which("bwrap")
_METHODS = {
    "bubblewrap": Method("bubblewrap", own_view=True, program=_BWRAP),
    "own-view": Method("subprocess", own_view=True),
    "shared": Method("subprocess"),
    "degraded": Method("subprocess", namespaces=False),
}
Run = Callable[..., SandboxResult]


@pytest.fixture(params=list(_METHODS))
def method(request: pytest.FixtureRequest, tmp_path: Path) -> Method:
    """Each method that works here; the last two work everywhere."""
    chosen = _METHODS[request.param]
    if chosen.name == "bubblewrap" and _BWRAP is None:
        pytest.skip("bubblewrap is not installed")
    if chosen.own_view and not local._works(chosen, tmp_path / "probe"):
        pytest.skip(f"the kernel does not grant what {request.param} needs")
    return chosen


@pytest.fixture
def run(method: Method, tmp_path: Path) -> Run:
    """Runs a Python script in the sandbox; further words are limits, `tree` and `cancelled`."""

    def in_sandbox(
        script: str,
        tree: Path | None = None,
        cancelled: Callable[[], bool] = bool,
        **limits: int,
    ) -> SandboxResult:
        cmd = ("python", "-c", textwrap.dedent(script))
        job = Job(cmd, tree, tmp_path / "scratch", Limits(**limits), cancelled=cancelled)
        return local._run(job, method)

    return in_sandbox


def _alive(mark: str) -> list[int]:
    """Processes with `mark` on their command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if mark in command and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def _gone(mark: str) -> bool:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if not _alive(mark):
            return True
        time.sleep(0.02)
    return False


def _appears(mark: str) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if _alive(mark):
            return True
        time.sleep(0.02)
    return False


def test_output_and_exit_code_come_back(run: Run) -> None:
    result = run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert result.limit is None and not result.timed_out
    assert 0 < result.wall_seconds < 20 and result.cpu_seconds > 0 and result.max_rss_kb > 1000


def test_a_signal_shows_in_the_exit_code(run: Run) -> None:
    assert run("import os; os.kill(os.getpid(), 11)").exit_code == 128 + signal.SIGSEGV


def test_an_unknown_program_is_a_failed_command(method: Method, tmp_path: Path) -> None:
    result = local._run(Job(("no-such-program",), None, tmp_path), method)
    assert result.exit_code == 127 and b"no-such-program" in result.stderr


def test_the_environment_is_cleared(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    seen = json.loads(run("import os, json; print(json.dumps(dict(os.environ)))").stdout)
    allowed = {"PATH", "LANG", "HOME", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"}
    # The system's own start-up may add these three.
    assert set(seen) - {"LC_CTYPE", "PWD", "__CF_USER_TEXT_ENCODING"} == allowed
    assert "hush" not in json.dumps(seen)


def test_the_command_works_on_a_copy(run: Run, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "here.txt").write_text("before")
    result = run("print(open('here.txt').read()); open('here.txt', 'w').write('after')", tree=tree)
    assert result.stdout == b"before\n", result.stderr
    assert (tree / "here.txt").read_text() == "before"


def test_files_in_out_are_collected_and_links_are_not(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    result = run(
        f"""
        import os
        open('../out/report.xml', 'w').write('<x/>')
        os.symlink({str(secret)!r}, '../out/link.txt')
        os.mkfifo('../out/pipe')
        os.mkdir('../out/folder')
        """
    )
    assert result.exit_code == 0, result.stderr
    assert dict(result.files) == {"report.xml": b"<x/>"}


def test_cpu_time_is_limited(run: Run) -> None:
    result = run("while True: pass", cpuSeconds=1, wallSeconds=30)
    assert result.limit == "cpuSeconds" and result.timed_out
    assert 0.8 <= result.cpu_seconds < 5


def test_memory_is_limited(run: Run) -> None:
    if sys.platform == "darwin":
        pytest.skip("macOS does not hold a process to RLIMIT_AS")
    result = run("x = bytearray(400 * 1024 * 1024)", memoryMB=256)
    assert result.exit_code != 0 and result.out_of_memory and result.limit == "memoryMB"
    assert run("x = bytearray(100 * 1024 * 1024)", memoryMB=256).exit_code == 0


def test_file_size_is_limited(run: Run) -> None:
    script = "import os; f = open('big', 'wb'); f.write(b'x' * {}); f.flush(); print(os.path.getsize('big'))"
    assert run(script.format(900_000), fileMB=1).stdout == b"900000\n"
    assert run(script.format(3_000_000), fileMB=1).exit_code != 0


def test_processes_are_limited_where_the_report_says_so(run: Run) -> None:
    script = """
        import os, time
        made = 0
        try:
            for _ in range(60):
                if os.fork() == 0:
                    time.sleep(20)
                    os._exit(0)
                made += 1
        except OSError:
            pass
        print(made)
        """
    result = run(script, processes=12, wallSeconds=15)
    limited = "processes" in result.isolation["rlimits"]
    assert (int(result.stdout) < 14) == limited


def test_open_files_are_limited(run: Run) -> None:
    result = run("files = [open('/dev/null') for _ in range(100)]", openFiles=32)
    assert result.exit_code == 1 and b"Too many open files" in result.stderr


def test_the_wall_clock_ends_the_command_and_its_grandchildren(run: Run, tmp_path: Path) -> None:
    mark = f"mark-{tmp_path.name}"
    started = time.monotonic()
    result = run(
        f"""
        import subprocess, sys, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        nap = 'import time; time.sleep(60)'
        start = 'import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True); ' + nap
        child = [sys.executable, '-c', start, sys.executable, '-c', nap, {mark!r}]
        subprocess.Popen(child)
        print('started', flush=True)
        time.sleep(60)
        """,
        wallSeconds=1,
    )
    assert result.timed_out and result.limit == "wallSeconds" and result.exit_code != 0
    assert result.stdout == b"started\n"
    assert 1 <= time.monotonic() - started < 15
    assert _gone(mark), _alive(mark)


def test_sigterm_comes_first(run: Run, method: Method) -> None:
    if method.name == "bubblewrap":
        pytest.skip("bubblewrap takes its command down at once")
    result = run(
        """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))
        time.sleep(60)
        """,
        wallSeconds=1,
    )
    assert result.stdout == b"bye\n" and result.timed_out


def test_stragglers_are_killed_at_the_end(run: Run, tmp_path: Path) -> None:
    mark = f"mark-{tmp_path.name}"
    started = time.monotonic()
    result = run(
        f"""
        import subprocess, sys
        nap = [sys.executable, '-c', 'import time; time.sleep(60)', {mark!r}]
        subprocess.Popen(nap, start_new_session=True)
        print('done')
        """
    )
    assert result.exit_code == 0 and result.stdout == b"done\n"
    assert time.monotonic() - started < 15
    if result.isolation["processes"] == "own" or sys.platform == "linux":
        assert _gone(mark), _alive(mark)


def test_output_is_capped_with_head_and_tail(run: Run) -> None:
    script = "import sys; print('first'); sys.stdout.write('x' * 5_000_000); print(); print('last')"
    result = run(script, outputKB=16)
    assert len(result.stdout) < 17 * 1024
    assert result.stdout.startswith(b"first\n") and result.stdout.endswith(b"\nlast\n")
    assert b"bytes left out" in result.stdout


def test_there_is_no_network_when_the_report_says_so(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = run(f"import socket; socket.create_connection(('127.0.0.1', {port}), 3); print('through')")
    assert (result.stdout == b"through\n") == (result.isolation["network"] == "host")


def test_loopback_works_inside_its_own_network(run: Run) -> None:
    result = run(
        """
        import socket
        server = socket.create_server(('127.0.0.1', 0))
        socket.create_connection(server.getsockname(), 3)
        print('through')
        """
    )
    assert result.stdout == b"through\n", result.stderr


def test_the_file_system_is_as_reported(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    result = run(f"import os; print(os.path.exists({str(secret)!r}))")
    own = result.isolation["filesystem"] == "own-view"
    assert result.stdout == (b"False\n" if own else b"True\n"), result.stderr
    if own:
        for place in ("/", "/usr", "/sandbox", sys.prefix):
            assert b"OSError" in run(f"open({place!r} + '/written', 'w')").stderr.replace(
                b"PermissionError", b"OSError"
            )


def test_the_report_tells_the_user_id(run: Run) -> None:
    result = run("import os; print(os.getuid(), os.geteuid())")
    uid = result.isolation["uid"]
    assert result.stdout.decode().split() == [str(uid)] * 2


def test_root_gives_its_rights_up(run: Run) -> None:
    if sys.platform != "linux":
        pytest.skip("capabilities are Linux's")
    lines = run("print(open('/proc/self/status').read())").stdout.decode().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0 and status["NoNewPrivs"] == "1"


def test_cancel_stops_it(run: Run, tmp_path: Path) -> None:
    mark = f"mark-{tmp_path.name}"
    started = time.monotonic()
    script = f"""
        import subprocess, sys
        subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)', {mark!r}])
        """
    with pytest.raises(StepError) as caught:
        run(script, cancelled=lambda: bool(_alive(mark)) or time.monotonic() - started > 20)
    assert caught.value.code == "cancelled" and time.monotonic() - started < 15
    assert _gone(mark)


def test_nothing_outlives_a_killed_runner(method: Method, tmp_path: Path) -> None:
    mark = f"mark-{tmp_path.name}"
    inner = (
        "import subprocess, sys; nap = 'import time; time.sleep(60)'; "
        f"subprocess.run([sys.executable, '-c', nap, {mark!r}], start_new_session=True)"
    )
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from sisu_kodo.sbx import Job, local
        from sisu_kodo.sbx.methods import Method
        method = Method({method.name!r}, {method.own_view}, {method.program!r}, {method.namespaces})
        local._run(Job(('python', '-c', {inner!r}), None, Path({str(tmp_path)!r}) / 'scratch'), method)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script]) as runner:
        assert _appears(mark)
        runner.send_signal(signal.SIGKILL)
        runner.wait(10)
    assert _gone(mark), _alive(mark)
    left = list((tmp_path / "scratch").iterdir())
    assert len(left) == 1
    with scratch.folder(tmp_path / "scratch") as place:
        assert list((tmp_path / "scratch").iterdir()) == [place]
    assert not list((tmp_path / "scratch").iterdir())


def test_scratch_folders_go_away_whatever_is_in_them(run: Run, tmp_path: Path) -> None:
    run("import os; os.makedirs('a/b'); open('a/b/c', 'w'); os.chmod('a/b', 0); os.chmod('a', 0)")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_scratch_in_use_is_not_swept(tmp_path: Path) -> None:
    with scratch.folder(tmp_path) as first, scratch.folder(tmp_path) as second:
        assert first.is_dir() and second.is_dir() and first != second


def test_a_sandbox_that_cannot_start_is_an_infrastructure_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StepError) as caught:
        local.run(Job(("true",), None, tmp_path / "file" / "scratch"))
    assert (caught.value.code, caught.value.retryable) == ("infra_failure", True)


def test_the_strongest_method_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_chosen", {})
    monkeypatch.setattr(shutil, "which", lambda _: "/somewhere/bwrap")
    if sys.platform == "linux":
        assert methods.the_method(lambda _: True).name == "bubblewrap"
        monkeypatch.setattr(methods, "_chosen", {})
    found = methods.the_method(lambda each: each.name != "bubblewrap" and not each.own_view)
    assert found == Method("subprocess")
    assert methods.the_method(lambda _: True) == found  # tried once


def test_the_own_view_works_where_unshare_does(tmp_path: Path) -> None:
    """The tests above skip a method that does not work: this one says when it should."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare to compare with")
    wanted = ["unshare", "--net", "--pid", "--fork", "--mount", "--mount-proc"]
    if os.geteuid() != 0:
        wanted.append("--user")
    granted = subprocess.run([*wanted, "true"], capture_output=True, check=False).returncode == 0
    assert local._works(_METHODS["own-view"], tmp_path) == granted


def test_paths_of_the_own_view_do_not_nest() -> None:
    paths = methods.visible()
    assert paths and all(os.path.lexists(path) for path in paths)
    assert not [(a, b) for a in paths for b in paths if a != b and b.startswith(a + "/")]


def test_limits_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="cpuSeconds"):
        Limits.from_json({"cpuSeconds": 0})
    with pytest.raises(ValueError, match="cpuSecond"):
        Limits.from_json({"cpuSecond": 1})
    assert Limits(wallSeconds=900).within(Limits(wallSeconds=5)).wallSeconds == 5
