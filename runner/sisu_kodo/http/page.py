"""`/docs`: the document as a page, made on the server. No script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
h1{font-size:1.6rem}h2{margin-top:2.5rem;font-size:1.15rem}h3{margin:2rem 0 .3rem;font-size:1rem}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f4f5f7;padding:.7rem 1rem;overflow:auto;
  border-radius:6px}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.2rem .7rem .2rem 0;vertical-align:top;border-bottom:1px solid #e3e5e8}
.m{display:inline-block;min-width:3.2rem;font-weight:700}summary{cursor:pointer;color:#57606a}
@media(prefers-color-scheme:dark){body{background:#14171a;color:#e6e8ea}pre{background:#1e2226}
  td,th{border-color:#2d3238}summary{color:#9aa4ae}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}


def page(document: dict[str, Any], base: str) -> str:
    """The page. `base` is where the server is reached, for the examples."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1>",
        *(f"<p>{_inline(text)}</p>" for text in info["description"].split("\n\n")),
        "<p><a href='/openapi.json'>openapi.json</a></p>",
    ]
    for tag in document["tags"]:
        parts.append(f"<h2>{escape(tag['description'])}</h2>")
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if tag["name"] in operation.get("tags", ()):
                    parts += _operation(document, base, method.upper(), path, operation)
    return "\n".join(parts)


def _operation(
    document: dict[str, Any], base: str, method: str, path: str, operation: dict[str, Any]
) -> list[str]:
    parameters = operation.get("parameters", [])
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    found = [
        f"<h3 id='{escape(operation['operationId'])}'><span class=m>{method}</span> "
        f"<code>{escape(path)}</code></h3>",
        f"<p><b>{escape(operation['summary'])}.</b> {_inline(operation.get('description', ''))}</p>",
        f"<pre>{escape(_curl(base, method, path, parameters, body))}</pre>",
    ]
    if parameters:
        rows = (_row(each["name"], each["schema"], each.get("required")) for each in parameters)
        found.append(f"<table>{''.join(rows)}</table>")
    if body:
        schema = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
        wanted = schema.get("required", ())
        rows = (_row(name, field, name in wanted) for name, field in schema["properties"].items())
        found.append(f"<table>{''.join(rows)}</table>")
    answers = "".join(
        f"<tr><td>{status}<td>{escape(told['description'])}"
        for status, told in sorted(operation["responses"].items())
    )
    found.append(f"<details><summary>answers</summary><table>{answers}</table></details>")
    return found


def _row(name: str, schema: dict[str, Any], required: bool | None) -> str:
    rules = {key: value for key, value in schema.items() if key not in ("title", "description", "properties")}
    told = json.dumps(rules, ensure_ascii=False)[1:-1]
    return (
        f"<tr><td><code>{escape(name)}</code><td>{'required' if required else ''}"
        f"<td>{escape(schema.get('description', ''))} <code>{escape(told)}</code>"
    )


def _curl(base: str, method: str, path: str, parameters: list[dict[str, Any]], body: Any) -> str:
    shown = "&".join(
        f"{p['name']}={p['example']}" for p in parameters if p["in"] == "query" and "example" in p
    )
    url = f"{base}{path.replace('{', '$').replace('}', '')}{'?' + shown if shown else ''}"
    words = ["curl -s", *(["-X POST"] if method == "POST" else []), f'"{url}"']
    if body:
        words.append(f"-d '{json.dumps(body['example'], ensure_ascii=False)}'")
    return " ".join(words)


def _inline(text: str) -> str:
    pieces = escape(text.replace("\n", " ")).split("`")
    return "".join(f"<code>{piece}</code>" if at % 2 else piece for at, piece in enumerate(pieces))
