"""docs/manual.md as it stands: its blocks in one shell, against `sisu dev`; what is behind → comes out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import ROOT
from tests.e2e.test_manual_over_http import dev, ports  # noqa: F401
from tests.integration.runner_support import short_leases

PAGE = (ROOT / "docs" / "manual.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NEEDS = ("curl", "jq")
# The test's own ports, processes and patience; the words stay.
INSTEAD = {
    "pkill -KILL -f 'sisu runner'": "kill -KILL $RUNNER",
    "make dev &": 'sisu dev >>"$LOG" 2>&1 & DEV=$!',
    "make ops:list-failed ARGS=--ids": "sisu ops list-failed --ids",
    "make ops:sql:inbox": "sisu ops inbox",
    "60000": "3000",
}


def script(blocks: list[str], port: int, admin_port: int) -> str:
    """The blocks as one script that says which line it is at."""
    lines = ["set -euo pipefail"]
    for line in "".join(blocks).splitlines():
        command, _, expected = line.partition("# → ")
        for words, other in INSTEAD.items():
            command = command.replace(words, other)
        command = command.replace("localhost:3000", f"localhost:{port}").replace(
            "localhost:3001", f"localhost:{admin_port}"
        )
        lines += [command, *([f"echo '== {expected}'"] if expected else [])]
    return "\n".join([*lines, 'kill -INT "$DEV"; wait "$DEV"'])


@pytest.mark.skipif(not all(map(shutil.which, NEEDS)), reason="curl or jq is not installed")
def test_the_manual_does_what_it_says(
    operator: str,
    ports: tuple[int, int],  # noqa: F811
    conn: psycopg.Connection[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(BLOCKS) == 11
    short_leases(operator, 2)
    monkeypatch.setenv("TRACE_BASE_URL", "http://localhost:16686/trace/{traceId}")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with dev(tmp_path / "dev.log") as first:
        done = subprocess.run(
            ["bash", "-c", script(BLOCKS[1:], *ports)],
            env={
                **os.environ,
                "PATH": path,
                "RUNNER": str(first.part("runner").pid),
                "LOG": str(tmp_path / "second.log"),
            },
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    said = done.stdout.splitlines()
    promised = re.findall(r"# → (.+)$", "".join(BLOCKS[1:]), re.MULTILINE)
    assert len(promised) > 30
    for at, line in enumerate(said):
        if line.startswith("== "):
            assert line[3:].strip() in said[at - 1], f"{said[at - 1]!r} instead of {line[3:]!r}"
    assert sum(line.startswith("== ") for line in said) == len(promised)
    assert conn.execute("select * from app.v_invariants").fetchall() == []
