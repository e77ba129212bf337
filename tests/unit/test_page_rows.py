"""What the page makes of rows: the axis, durations, diffs, JUnit, forms, drawings."""

from __future__ import annotations

from typing import Any

import pytest

from sisu_kodo.errors import BadRequest
from sisu_kodo.ui.charts import spans, throughput
from sisu_kodo.ui.drawing import drawing
from sisu_kodo.ui.exhibits import diff_lines, view_of
from sisu_kodo.ui.formats import duration, short, size
from sisu_kodo.ui.forms import Form, fields_of, filled
from sisu_kodo.ui.login import _local
from sisu_kodo.ui.timeline import Axis

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "order": ["name", "count"],
    "properties": {
        "flags": {"type": "object"},
        "count": {"type": "integer"},
        "name": {"type": "string"},
        "sure": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "size": {"enum": ["S", 2]},
    },
}


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "–"), (0, "0 ms"), (999, "999 ms"), (1000, "1.00 s"), (9_994, "9.99 s"), (9_996, "10.0 s"),
        (59_994, "60.0 s"), (59_996, "1 min"), (61_000, "1 min 1 s"), (3_600_000, "1 h"),
        (5_000_000, "1 h 23 min"), (90_000_000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_a_duration_reads_well(ms: int | None, text: str) -> None:
    assert duration(ms) == text


def test_ids_and_sizes_are_short() -> None:
    assert short("ih_" + "a" * 60 + "0123") == "ih_aaaaaaaaa…0123"
    assert short("ih_" + "a" * 60 + "0123-f12") == "ih_aaaaaaaaa…0123-f12"
    assert short("sleep_1") == "sleep_1"
    assert [size(n) for n in (None, 0, 999, 1000, 1_500_000)] == ["–", "0 B", "999 B", "1.0 kB", "1.5 MB"]


def test_an_axis_is_linear_while_something_runs() -> None:
    axis = Axis.of(0, 1000, [(0, 600), (500, 1000)])
    assert not axis.compressed
    assert [axis.x(t) for t in (0, 250, 1000, 2000)] == [0, 250, 1000, 1000]


def test_a_long_idle_stretch_is_drawn_shorter() -> None:
    axis = Axis.of(0, 100_000, [(0, 1000), (99_000, 100_000)])
    assert axis.compressed
    assert axis.x(1000) == pytest.approx(400)
    assert axis.x(99_000) == pytest.approx(600)
    assert axis.time(axis.x(50_000)) == pytest.approx(50_000)


def test_a_diff_has_the_numbers_of_both_sides() -> None:
    lines = list(diff_lines("--- a/x\n+++ b/x\n@@ -3,2 +3,2 @@ f\n same\n-old\n+new\n\\ No newline\n"))
    assert [(line.kind, line.old, line.new) for line in lines] == [
        ("file", None, None), ("file", None, None), ("hunk", None, None),
        ("same", 3, 3), ("del", 4, None), ("add", None, 4), ("file", None, None),
    ]  # fmt: skip


def test_an_artifact_is_shown_as_what_it_is() -> None:
    def kind(name: str, media: str, body: bytes, kind: str = "file") -> str:
        return view_of(kind, name, media, body).kind

    assert kind("n", "text/plain", b"none", "none") == "none"
    assert kind("a.svg", "image/svg+xml", b"<svg/>") == "image"
    assert kind("a.json", "application/json", b"{}") == "json"
    assert kind("a.json", "application/json", b"{") == "text"
    assert kind("a.bin", "application/octet-stream", b"\xff\xfe") == "bytes"
    assert kind("a.txt", "text/plain", b"a\0b") == "bytes"
    assert kind("j.xml", "text/xml", b"<testsuite><testcase name='a'/></testsuite>") == "junit"
    assert kind("j.xml", "text/xml", b"<!DOCTYPE x []><testsuite/>") == "text"
    assert kind("p.json", "application/json", b'{"goal": "g", "design": ["d"]}', "plan_card") == "plan"
    assert kind("p.json", "application/json", b'{"goal": "g", "design": "d"}', "plan_card") == "json"
    long = view_of("stdout", "a.txt", "text/plain", "ä".encode() * 500_000)
    assert (long.kind, long.cut, len(long.text)) == ("text", True, 200_000)


def test_a_schema_becomes_fields_and_a_form_its_object() -> None:
    assert [(field.name, field.kind) for field in fields_of(SCHEMA)] == [
        ("name", "text"), ("count", "number"), ("flags", "json"), ("sure", "checkbox"), ("tags", "list"),
        ("size", "select"),
    ]  # fmt: skip
    form = Form(
        {
            "f_name": [" x "],
            "f_count": ["3"],
            "f_tags": ["a\r\n\r\nb"],
            "f_size": ["2"],
            "f_flags": ['{"a": 1}'],
        }
    )
    made = filled(SCHEMA, form, "f_")
    assert made == {"name": "x", "count": 3, "sure": False, "tags": ["a", "b"], "size": 2, "flags": {"a": 1}}
    with pytest.raises(BadRequest) as refused:
        filled(SCHEMA, Form({"f_count": ["x"], "f_flags": ["{"]}), "f_")
    assert [each["path"] for each in refused.value.details] == ["name", "count", "flags"]
    assert fields_of(None) == fields_of({"properties": []}) == ()


def test_a_long_arrow_runs_beside_the_boxes() -> None:
    def step(idx: int, *needs: int) -> dict[str, Any]:
        more = dict.fromkeys(("sleepMS", "sleepInput", "fanOver", "fanQueue", "condition"))
        return {"idx": idx, "stepID": f"S{idx}", "needs": list(needs), "gates": [], **more}

    made = drawing([step(0), step(1, 0), step(2, 0), step(3, 2), step(4, 1, 3)])
    rows = {box.name: (box.x, box.y) for box in made.boxes}
    assert rows["S1"][1] < rows["S2"][1] == rows["S3"][1], "S3 makes way for the arrow from S1 to S4"
    assert len(set(rows.values())) == 5
    assert len(made.arrows) == 5
    assert all(0 <= x < made.width and 0 <= y < made.height for x, y in rows.values())


def test_charts_stack_and_scale() -> None:
    points = [
        {"minute": 59, "what": "succeeded", "n": 3, "p50_ms": None, "p95_ms": None},
        {"minute": 59, "what": "failed", "n": 1, "p50_ms": None, "p95_ms": None},
        {"minute": 0, "what": "wait", "n": 2, "p50_ms": 30, "p95_ms": 90},
    ]
    chart = throughput(points)
    assert (chart.top, [(each.kind, each.y, each.height) for each in chart.columns]) == (
        "4",
        [("succeeded", 30, 90), ("failed", 0, 30)],
    )
    waits = spans(points, "wait", "Wait")
    assert (waits.top, [(each.kind, each.height) for each in waits.columns]) == (
        "100 ms",
        [("p95", 108), ("p50", 36)],
    )
    assert throughput([]).empty


def test_the_way_after_the_login_is_a_path_of_this_server() -> None:
    assert _local("/?wid=x") == "/?wid=x"
    for target in (None, "", "x", "//e", "/\\e", "/\t/e", "/\n/e", "https://e", "/a\\b"):
        assert _local(target) == "/ops"
