"""Handlers and recipes of the browser tests (`sisu runner --import …`)."""

from __future__ import annotations

import base64
import time
from typing import Any

from sisu_kodo import Artifact, StepContext, StepError, StepResult, handler

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mNk+M9Qz0AEYBxVSF+FABJADveWkH6oAAAAAElFTkSuQmCC"
)
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="160" height="60"'
    b" onload=\"parent.document.title='owned'\">"
    b"<script>parent.document.title='owned'</script><rect width='160' height='60' rx='8' fill='#3355d1'/>"
    b"<text x='80' y='36' fill='white' text-anchor='middle' font-family='sans-serif'>SVG</text></svg>"
)
HOSTILE_SVG = (
    b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    b' width="200" height="80"'
    b" onload=\"top.document.title='owned'\"><script>top.document.title='owned'</script>"
    b'<script href="/static/page.js"/><image xlink:href="/ui/artifacts/1?stolen=1" width="9" height="9"/>'
    b'<image href="http://localhost:9/stolen" width="9" height="9"/><use href="http://localhost:9/stolen#a"/>'
    b"<style>@import url('http://localhost:9/stolen');</style>"
    b'<a href="javascript:top.document.title=\'owned\'"><rect width="200" height="80" fill="#12713a"/></a>'
    b'<foreignObject width="200" height="80"><body xmlns="http://www.w3.org/1999/xhtml">'
    b'<iframe src="http://localhost:9/stolen"></iframe><form action="/ui/control"><input name="wid"/></form>'
    b"</body></foreignObject></svg>"
)
HOSTILE_NAME = "<img src=x onerror=document.title='owned'>\"'.svg"
JUNIT = b"""<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="3" failures="1" skipped="1">
<testcase classname="tests.test_calc" name="test_sum" time="0.001"/>
<testcase classname="tests.test_calc" name="test_minus" time="0.002"><failure message="assert">assert 6 == 4
 +  where 6 = evaluate("7 - 2 - 1") &lt;script&gt;</failure></testcase>
<testcase classname="tests.test_calc" name="test_later" time="0"><skipped message="not yet"/></testcase>
</testsuite></testsuites>"""
PATCH = b"""--- a/greet.py
+++ b/greet.py
@@ -1,3 +1,3 @@
 def greet(name):
-    return "Hello " + name
+    return f"Hello {name}, <script>alert(1)</script>"
 # the end
"""

RECIPES: list[dict[str, Any]] = [
    {
        "name": "gallery",
        "description": "Leaves one artifact of every kind.",
        "steps": [
            {"stepId": "ShowST", "handler": "web/gallery"},
            {"stepId": "QuietST", "handler": "web/noop"},
        ],
    },
    {
        "name": "brittle",
        "description": "Fails twice for a reason that passes, then for good, unless it is mended.",
        "steps": [
            {"stepId": "CollectST", "handler": "web/noop"},
            {
                "stepId": "BuildST", "handler": "web/brittle",
                "retry": {"maxAttempts": 3, "retryableCodes": ["infra_failure"]},
            },
            {"stepId": "ShipST", "handler": "web/noop"},
        ],
    },
    {
        "name": "slow",
        "description": "Takes as long as the inputs say.",
        "steps": [{"stepId": "HoldST", "handler": "web/hold"}, {"stepId": "EndST", "handler": "web/noop"}],
    },
    {
        "name": "many",
        "description": "Fans out to as many tasks as the inputs say.",
        "steps": [
            {
                "stepId": "SpreadST", "handler": "web/spread",
                "fanOut": {"queue": "sbxQ", "handler": "web/task", "maxTasks": 5000},
            }
        ],
    },
    {
        "name": "order",
        "description": "A graph with a form at its gate.",
        "inputSchema": {
            "type": "object",
            "required": ["item"],
            "order": ["item", "count", "tags"],
            "properties": {
                "item": {"type": "string", "title": "Item", "maxLength": 80},
                "count": {"type": "integer", "title": "How many", "default": 1, "minimum": 1, "maximum": 9},
                "tags": {
                    "type": "array", "title": "Tags", "items": {"type": "string", "pattern": "^[a-z]+$"},
                },
            },
        },
        "steps": [
            {"stepId": "ReadST", "handler": "web/noop"},
            {"stepId": "PriceST", "handler": "web/noop", "needs": ["ReadST"]},
            {"stepId": "StockST", "handler": "web/noop", "needs": ["ReadST"]},
            {"stepId": "CoolST", "sleep": {"ms": 10}, "needs": ["StockST"]},
            {
                "stepId": "SendST", "handler": "web/noop", "needs": ["PriceST", "CoolST"],
                "gate": {
                    "key": "delivery", "kind": "input", "title": "How is it delivered?", "ttlMS": 86400000,
                    "schema": {
                        "type": "object",
                        "required": ["carrier"],
                        "properties": {
                            "carrier": {"enum": ["post", "bike", "drone"], "title": "Carrier"},
                            "insured": {"type": "boolean", "title": "Insured"},
                            "weight": {"type": "number", "title": "Weight in kg"},
                        },
                    },
                },
            },
        ],
    },
]  # fmt: skip


@handler("web/noop")
async def noop(ctx: StepContext) -> dict[str, Any]:
    return {"step": ctx.step_id}


@handler("web/hold")
def hold(ctx: StepContext) -> dict[str, Any]:
    until = time.monotonic() + float(str(ctx.intent["inputs"].get("seconds", 1)))
    while time.monotonic() < until and not ctx.cancelled():
        time.sleep(0.02)
    return {"held": True}


@handler("web/brittle")
async def brittle(ctx: StepContext) -> dict[str, Any]:
    if ctx.intent["inputs"].get("mended"):
        return {"built": True}
    if ctx.attempt < 3:
        raise StepError("infra_failure", f"connection reset by peer (attempt {ctx.attempt})")
    raise StepError(
        "build_failed",
        "greet.py:2: SyntaxError: unterminated string literal\n\n    return 'Hello\n           ^\n"
        "<script>alert('message')</script>",
        retryable=False,
    )


@handler("web/spread")
async def spread(ctx: StepContext) -> StepResult:
    count = int(str(ctx.intent["inputs"].get("tasks", 3)))
    return StepResult(
        output={"tasks": count},
        tasks=[{"cmd": ["python", "-m", "check", f"part-{n:04}"], "n": n} for n in range(count)],
    )


@handler("web/task")
async def task(ctx: StepContext) -> StepResult:
    assert isinstance(ctx.task, dict)
    if ctx.task["n"] == ctx.intent["inputs"].get("fail"):
        raise StepError("command_failed", "exit code 1")
    return StepResult(
        output={"n": ctx.task["n"]},
        artifacts=[Artifact("stdout", "stdout.txt", body=b"ok\n", media_type="text/plain")],
    )


@handler("web/gallery")
async def gallery(ctx: StepContext) -> StepResult:
    made = [
        Artifact(
            "decision",
            "decision.json",
            inline={"tasks": [{"cmd": ["make", "test"]}], "html": "<script>alert(1)</script>"},
        ),
        Artifact("patch", "greet.py.patch", body=PATCH, media_type="text/x-diff"),
        Artifact("stdout", "stdout.txt", body=b"3 passed <b>bold</b>\n", media_type="text/plain"),
        Artifact("file", "junit.xml", body=JUNIT, media_type="application/xml"),
        Artifact("file", "dot.png", body=PNG, media_type="image/png"),
        Artifact("file", "drawing.svg", body=SVG, media_type="image/svg+xml"),
        Artifact(
            "file", "page.html", body=b"<script>document.title='owned'</script>", media_type="text/html"
        ),
        Artifact("file", "hostile.svg", body=HOSTILE_SVG, media_type="image/svg+xml"),
        Artifact("file", HOSTILE_NAME, body=SVG, media_type="image/svg+xml"),
        Artifact("oddity", "odd.json", body=b'{"a": "</pre><script>"', media_type="application/json"),
        Artifact("file", "data.bin", body=bytes(range(256)), media_type="application/octet-stream"),
    ]
    return StepResult(output={"made": len(made)}, artifacts=made)
