"""Form bodies, and forms made from a JSON Schema.

A recipe may say what its inputs look like (`inputSchema`), and a gate what its answer does (`schema`). Of a
schema of type object each property becomes one field; what is no string, number, boolean, choice or list of
strings is given as JSON. `order` lists the properties as they are shown (jsonb does not keep their order).
The schema helps people to type: what a form says is held to it here, what comes over the API is not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import parse_qs

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable
from starlette.requests import Request

from ..errors import BadRequest
from ..http.bodies import TooLarge, checked_text, read_value, refused
from ..http.shim import Shim
from .people import check_same_origin

_MOST_FIELDS = 1100
_FORMATS = {"date": "date", "email": "email", "uri": "url"}
_INPUTS = {"string": "text", "integer": "number", "number": "number", "boolean": "checkbox"}


@dataclass(frozen=True)
class Form:
    """What was sent: every value of every field."""

    fields: dict[str, list[str]]

    def text(self, name: str) -> str:
        """The first value, stripped; empty when there is none."""
        return self.fields.get(name, [""])[0].replace("\r\n", "\n").strip()

    def maybe(self, name: str) -> str | None:
        return self.text(name) or None

    def every(self, name: str) -> list[str]:
        return self.fields.get(name, [])

    def number(self, name: str) -> int:
        """Raises BadRequest."""
        value = self.text(name)
        if not value.isascii() or not value.isdigit() or len(value) > 9:
            raise refused([(name, "must be an integer")])
        return int(value)


async def read_form(request: Request, shim: Shim) -> Form:
    """The form that a page of this server sent. Raises Forbidden, TooLarge, BadRequest."""
    check_same_origin(request)
    parts: list[bytes] = []
    total = 0
    async for part in request.stream():
        total += len(part)
        if total > shim.settings.body_limit:
            raise TooLarge(f"the form has more than {shim.settings.body_limit} bytes")
        parts.append(part)
    try:
        found = parse_qs(
            b"".join(parts).decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=_MOST_FIELDS,
            errors="strict",
        )
    except ValueError as error:
        raise refused([("", f"is no form: {str(error)[:200]}")]) from None
    faults = [
        (name[:100], fault)
        for name, values in found.items()
        for each in (name, *values)
        for fault in checked_text(each)
    ]
    if faults:
        raise refused(faults)
    return Form(found)


@dataclass(frozen=True)
class Field:
    """One property of a schema. `kind` is text, area, number, checkbox, select, list or json."""

    name: str
    kind: str
    label: str
    help: str
    required: bool
    value: str
    choices: tuple[str, ...] = ()
    limits: tuple[tuple[str, str], ...] = ()


def fields_of(schema: Any) -> tuple[Field, ...]:
    """The fields of an object's schema; none when it is not one."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return ()
    wanted = set(_words(schema.get("required")))
    names = [name for name in _words(schema.get("order")) if name in properties]
    return tuple(
        _field(name, properties[name], name in wanted)
        for name in dict.fromkeys([*names, *properties])
        if isinstance(properties[name], dict)
    )


def _words(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _field(name: str, schema: dict[str, Any], required: bool) -> Field:
    kind = _INPUTS.get(str(schema.get("type")), "json")
    choices: tuple[str, ...] = ()
    items = schema.get("items")
    if isinstance(schema.get("enum"), list):
        kind, choices = "select", tuple(str(choice) for choice in schema["enum"])
    elif schema.get("type") == "array" and isinstance(items, dict) and items.get("type") == "string":
        kind = "list"
    elif kind == "text" and (schema.get("format") == "textarea" or _whole(schema.get("maxLength")) > 200):
        kind = "area"
    elif kind == "text":
        kind = _FORMATS.get(str(schema.get("format")), "text")
    default = schema.get("default")
    value = (
        ""
        if default is None
        else default
        if isinstance(default, str)
        else json.dumps(default, ensure_ascii=False)
    )
    if kind == "list" and isinstance(default, list):
        value = "\n".join(str(item) for item in default)
    return Field(
        name=name,
        kind=kind,
        label=str(schema.get("title") or name),
        help=str(schema.get("description") or ""),
        required=required and kind != "checkbox",
        value=value,
        choices=choices,
        limits=tuple(_limits(kind, schema)),
    )


def _limits(kind: str, schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the browser checks while one types, as attributes."""
    if kind == "number":
        yield "step", "1" if schema.get("type") == "integer" else "any"
        for key, attribute in (("minimum", "min"), ("maximum", "max")):
            if isinstance(schema.get(key), int | float):
                yield attribute, str(schema[key])
    elif kind != "list":
        for key, attribute in (("minLength", "minlength"), ("maxLength", "maxlength")):
            if _whole(schema.get(key)):
                yield attribute, str(schema[key])


def filled(schema: Any, form: Form, prefix: str) -> dict[str, Any]:
    """The object that a form says; an empty field is left out. Raises BadRequest naming each fault."""
    made: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for field in fields_of(schema):
        raw = form.text(prefix + field.name)
        if field.kind == "checkbox":
            made[field.name] = bool(raw)
        elif raw:
            try:
                made[field.name] = _value(field, raw, schema["properties"][field.name])
            except BadRequest as refusal:
                faults += [(fault["path"], fault["message"]) for fault in refusal.details]
        elif field.required:
            faults.append((field.name, "is required"))
    if not faults:
        faults = _misfits(schema, made)
    if faults:
        raise refused(faults)
    return made


def _misfits(schema: Any, made: dict[str, Any]) -> list[tuple[str, str]]:
    """Where an object does not fit; a schema that cannot be read is no reason to refuse."""
    try:
        Draft202012Validator.check_schema(schema)
        return [
            (".".join(map(str, error.absolute_path)), error.message[:300])
            for error in islice(Draft202012Validator(schema).iter_errors(made), 20)
        ]
    except (SchemaError, Unresolvable, RecursionError):
        return []


def _value(field: Field, raw: str, schema: dict[str, Any]) -> Any:
    """What a field says. Raises BadRequest naming it."""
    if field.kind == "number":
        return _number(field.name, raw, is_whole=schema.get("type") == "integer")
    if field.kind == "list":
        return [line.strip() for line in raw.splitlines() if line.strip()]
    if field.kind == "json":
        return _json(field.name, raw)
    if field.kind == "select":
        return next((choice for choice in schema["enum"] if str(choice) == raw), raw)
    return raw


def _number(name: str, raw: str, is_whole: bool) -> float:
    try:
        number = float(raw)
        if not math.isfinite(number) or "_" in raw:
            raise ValueError
        return int(raw) if is_whole else number
    except ValueError:
        raise refused([(name, "must be a number")]) from None


def _json(name: str, raw: str) -> Any:
    try:
        return read_value(raw)
    except BadRequest as refusal:
        faults = [(f"{name}.{each['path']}".rstrip("."), each["message"]) for each in refusal.details]
        raise refused(faults) from None


def json_object(form: Form, name: str) -> dict[str, Any]:
    """A field that holds a JSON object; empty is {}. Raises BadRequest."""
    value = _json(name, form.text(name) or "{}")
    if not isinstance(value, dict):
        raise refused([(name, "must be an object")])
    return value
