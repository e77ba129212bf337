"""A form that was filled in becomes an object that fits its schema, or every fault is named."""

from __future__ import annotations

from typing import Any

import pytest

from sisu_kodo.errors import BadRequest
from sisu_kodo.ui.forms import Form, filled, json_object

SCHEMA = {
    "type": "object",
    "required": ["carrier", "kg"],
    "properties": {
        "carrier": {"enum": ["post", "bike"]},
        "kg": {"type": "integer", "minimum": 1, "maximum": 9},
        "insured": {"type": "boolean"},
        "stops": {"type": "array", "items": {"type": "string"}},
    },
}


def form(**fields: str) -> Form:
    return Form({name: [value] for name, value in fields.items()})


def faults(**fields: str) -> list[dict[str, Any]]:
    with pytest.raises(BadRequest) as refusal:
        filled(SCHEMA, form(**fields), "in.")
    return list(refusal.value.details)


def test_values_have_the_types_of_the_schema() -> None:
    made = filled(SCHEMA, form(**{"in.carrier": "bike", "in.kg": "3", "in.stops": "a\n b \n"}), "in.")
    assert made == {"carrier": "bike", "kg": 3, "insured": False, "stops": ["a", "b"]}


def test_what_is_missing_is_named() -> None:
    assert faults(**{"in.carrier": "post"}) == [{"path": "kg", "message": "is required"}]


def test_what_does_not_fit_is_named() -> None:
    (fault,) = faults(**{"in.carrier": "post", "in.kg": "three"})
    assert fault == {"path": "kg", "message": "must be a number"}
    (fault,) = faults(**{"in.carrier": "post", "in.kg": "12"})
    assert fault["path"] == "kg" and "maximum of 9" in fault["message"]
    (fault,) = faults(**{"in.carrier": "rocket", "in.kg": "2"})
    assert fault["path"] == "carrier"


@pytest.mark.parametrize("number", ["nan", "inf", "-Infinity", "1e999", "9" * 400, "1_0", "1,5"])
@pytest.mark.parametrize("kind", ["number", "integer"])
def test_a_number_is_finite(number: str, kind: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        filled({"type": "object", "properties": {"n": {"type": kind}}}, form(n=number), "")
    assert refusal.value.details == [{"path": "n", "message": "must be a number"}]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"a": "\\u0000"}', "n.a"),
        ('{"a": {"b": "\\ud800"}}', "n.a.b"),
        ('{"a": NaN}', "n"),
        ('{"a": -Infinity}', "n"),
        ('{"a": 1e999}', "n"),
        ('{"a": 1, "a": 2}', "n.a"),
        ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", "n"),
        ("{", "n"),
    ],
)
def test_json_is_read_as_strictly_as_a_body(text: str, path: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        filled({"type": "object", "properties": {"n": {"type": "object"}}}, form(n=text), "")
    assert [fault["path"] for fault in refusal.value.details] == [path]
    with pytest.raises(BadRequest) as refusal:
        json_object(form(n=text), "n")
    assert [fault["path"] for fault in refusal.value.details] == [path]


def test_json_keeps_its_types() -> None:
    assert json_object(form(n='{"a": 12345678901234567890, "b": [1.5, true]}'), "n") == {
        "a": 12345678901234567890,
        "b": [1.5, True],
    }
