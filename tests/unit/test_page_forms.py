"""A form that was filled in becomes an object that fits its schema, or every fault is named."""

from __future__ import annotations

from typing import Any

import pytest

from sisu_kodo.errors import BadRequest
from sisu_kodo.ui.forms import Form, filled

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
