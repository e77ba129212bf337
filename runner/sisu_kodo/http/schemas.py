"""JSON Schema from the rows of app.v_arguments: the document says what the database checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NESTED = {
    ("start_run", "workload"): "workload",
    ("start_run", "budget"): "workload",
}
"""Fields whose object has a shape of its own."""


class Shapes:
    """The shapes by name; `rows` are those of app.v_arguments as JSON."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._shapes: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            self._shapes.setdefault(row["shape"], []).append(row)

    def object(
        self, shape: str, hides: Iterable[str] = (), needs: Mapping[str, bool] | None = None
    ) -> dict[str, Any]:
        """The closed object of a shape under the names of HTTP, without the arguments in `hides`; `needs`
        says which are required where HTTP differs.
        """
        rows = [
            {**row, "required": (needs or {}).get(row["path"], row["required"])}
            for row in self._shapes[shape]
            if row["path"] not in hides
        ]
        required = [argument_key(row["path"]) for row in rows if row["required"]]
        properties = {argument_key(row["path"]): self._field(shape, row) for row in rows}
        found: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
        return {**found, "required": required} if required else found

    def argument(self, shape: str, path: str) -> tuple[dict[str, Any], bool]:
        """Schema of one argument that is not null, and whether it is required."""
        row = next(row for row in self._shapes[shape] if row["path"] == path)
        return bare(row), row["required"]

    def _field(self, shape: str, row: Mapping[str, Any]) -> dict[str, Any]:
        nested = NESTED.get((shape, row["path"]))
        found = self.object(nested) if nested else bare(row)
        if row["required"]:
            return found
        nullable = {**found, "type": [*_as_list(found["type"]), "null"]} if "type" in found else found
        return {**nullable, "enum": [*found["enum"], None]} if "enum" in found else nullable


def argument_key(name: str) -> str:
    """An argument as JSON spells it, as app.argument_key says it: approved_by is approvedBy."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def bare(row: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a row's value."""
    kinds = row["type"].split("|")
    if kinds == ["any"]:
        return {}
    found: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    low, high = _BOUNDS.get(kinds[0], ("", ""))
    if row["lowest"] is not None and low:
        found[low] = row["lowest"]
    if row["highest"] is not None and high:
        found[high] = row["highest"]
    if row["pattern"] is not None:
        found["pattern"] = row["pattern"]
    if row["one_of"] is not None:
        found["enum"] = row["one_of"]
    return found


_BOUNDS = {
    "string": ("minLength", "maxLength"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "array": ("minItems", "maxItems"),
}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
