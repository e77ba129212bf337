"""Arguments for any function of the catalog, by type: valid ones, almost valid ones, and nonsense."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from psycopg import Connection

FUNCTIONS = """
select p.oid::regproc::text,
  array(select r from unnest(array['app_api', 'app_worker', 'app_ops', 'app_read']) as r where has_function_privilege(r, p.oid, 'execute')),
  coalesce(p.proargnames[1:p.pronargs], '{}'), array(select format_type(t, null) from unnest(p.proargtypes::oid[]) as t), p.pronargdefaults
from pg_proc as p
where p.pronamespace = 'app'::regnamespace and p.prokind = 'f'
  and exists (select from unnest(array['app_api', 'app_worker', 'app_ops', 'app_read']) as r where has_function_privilege(r, p.oid, 'execute'))
order by 1
"""
SHAPES = (
    "select shape, path, type, required, lowest, highest, one_of from app.v_arguments order by shape, path"
)
# a number as JSON may hold it and Python may not
RAW = re.compile(r'"@(-?[0-9][0-9.eE+-]*)@"')
ODD_NUMBERS = [
    "@1e400@", "@-1e400@", "@123456789012345678901234567890@", "@0.1e-320@", "@1.5@", "@1e2@", "@9007199254740993@",
    "@2147483648@", "@-2147483649@", "@9223372036854775808@", "@99999999999999999999@", "@1e30000@",
]  # fmt: skip
ODD_TEXTS = [
    "", " ", "\n", "x", "null", "{}", "\u202e\u200b", "e\u0301", "\U0001f9ea", "\uffff", "'; drop table app.runs; --", "%s %(x)s", "\\",
    '"', "$$", "a" * 41, "a" * 129, "a" * 201, "ä" * 256, "é" * 257, "x" * 10_001, "y" * 100_001, "ih_" + "0" * 64, "-f1", "1", "-1", "\x7f\x01",
    "1e400", "infinity", "today", "public", "pg_catalog",
]  # fmt: skip
INTERVALS = [
    "1 second",
    "-1 second",
    "100 years",
    "-infinity",
    "infinity",
    "1 month -30 days",
    "300000 years",
]


@dataclass(frozen=True)
class Function:
    """A function that some role may execute."""

    name: str
    roles: tuple[str, ...]
    arguments: tuple[tuple[str, str], ...]
    required: int


@dataclass(frozen=True)
class Field:
    name: str
    type: str
    required: bool
    lowest: Any
    highest: Any
    one_of: Sequence[str] | None


def functions(conn: Connection[Any]) -> list[Function]:
    """All of them, whatever is added later included."""
    found = [
        Function(name, tuple(roles), tuple(zip(names, types, strict=True)), len(types) - defaults)
        for name, roles, names, types, defaults in conn.execute(FUNCTIONS.encode()).fetchall()
    ]
    # the more it takes, the more often it is tried
    return [
        one
        for one in found
        for _ in range(1 + sum(kind == "jsonb" for _, kind in one.arguments) * 2 + len(one.arguments) // 2)
    ]


def shapes(conn: Connection[Any]) -> dict[str, list[Field]]:
    """What the reference says about every shape."""
    found: dict[str, list[Field]] = {}
    for shape, path, kind, required, lowest, highest, one_of in conn.execute(SHAPES).fetchall():
        found.setdefault(shape, []).append(Field(path, kind, required, lowest, highest, one_of))
    return found


def as_json(value: Any) -> str:
    """JSON text; the marked numbers stand in it as they are."""
    return RAW.sub(r"\1", json.dumps(value, ensure_ascii=False))


class Arguments:
    """Strategies that know what is in the database: its ids, and the shapes of its reference."""

    def __init__(
        self,
        names: dict[str, list[str]],
        held: dict[str, list[Any]],
        known: dict[str, list[Field]],
    ) -> None:
        """names: by a word that occurs in the name of an argument or a field, what there is of that.

        held: by shape, or by the name of an argument, fields of objects that the database takes for good, the tokens of leases that are held.
        """
        self.known, self.names, self.held = known, names, held
        odd = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
        everything = sorted({one for some in names.values() for one in some})
        self.texts = st.one_of(st.sampled_from(everything), st.sampled_from(ODD_TEXTS), odd)
        self.numbers = st.one_of(
            st.sampled_from(ODD_NUMBERS),
            st.integers(-3, 12),
            st.integers(-(2**70), 2**70).map(lambda n: f"@{n}@"),
            st.floats(-1e9, 1e9),
        )
        self.keys = st.sampled_from(
            sorted({f.name for fields in known.values() for f in fields} | {"", "x", "ä", "__proto__"})
        )
        scalar = st.one_of(st.none(), st.booleans(), self.numbers, self.texts)
        self.any_json = st.recursive(
            scalar,
            lambda inner: st.one_of(
                st.lists(inner, max_size=4), st.dictionaries(self.keys, inner, max_size=5)
            ),
            max_leaves=12,
        )
        self.deep = st.tuples(st.sampled_from([90, 700, 3000]), st.booleans()).map(lambda d: deep(*d))
        self.integers = st.one_of(st.integers(-2, 12), st.sampled_from([2**31 - 1, -(2**31), 1_000_001, 0]))
        self.big_integers = st.one_of(self.integers, st.sampled_from([2**63 - 1, -(2**63), 2**31]))

    def text(self, name: str) -> st.SearchStrategy[str]:
        """Mostly something that exists and is what the name says."""
        fitting = next((self.names[word] for word in self.names if word in name.lower()), ["ann", "x", "1"])
        return st.one_of(st.sampled_from(fitting), st.sampled_from(fitting), self.texts)

    def of(self, function: Function, name: str, kind: str) -> st.SearchStrategy[Any]:
        """What to pass as this argument; text with which the type can be made."""
        if kind == "jsonb":
            shaped = self.shaped(function.name.removeprefix("app."), name)
            return st.one_of(shaped, shaped, shaped, self.any_json).map(as_json) | self.deep | st.none()
        strategies: dict[str, st.SearchStrategy[Any]] = {
            "text": st.one_of(self.text(name), self.text(name), self.text(name), st.none()),
            "integer": st.one_of(self.integers, st.none()),
            "bigint": st.one_of(self.big_integers, st.none()),
            "boolean": st.sampled_from([True, False, None]),
            "interval": st.sampled_from([*INTERVALS, None]),
            "timestamp with time zone": st.sampled_from(["now", "infinity", "-infinity", "2020-01-01", None]),
            "text[]": st.one_of(st.lists(self.texts, max_size=3), st.none()),
        }
        return strategies.get(kind, st.none())

    def shaped(self, function: str, name: str) -> st.SearchStrategy[Any]:
        """An object of a shape that this argument might have, or a list of them, with a few things wrong."""
        fitting = [
            s for s in self.known if s in (function, name) or name == s + "s" or function.startswith(s)
        ]
        if name in self.held:
            return st.one_of(st.sampled_from(self.held[name]), self.any_json)
        shape = st.one_of(st.sampled_from(fitting or sorted(self.known)), st.sampled_from(sorted(self.known)))
        one = shape.flatmap(self.object)
        many = st.lists(one, max_size=3)
        return (
            st.one_of(many, many, one)
            if name.endswith("s") and name != "options"
            else st.one_of(one, one, many)
        )

    def object(self, shape: str) -> st.SearchStrategy[dict[str, Any]]:
        """Right in every field, or at the edges, or spoilt."""
        edgy = self._object(shape, self.field)
        spoilt = st.tuples(edgy, st.dictionaries(self.keys, self.any_json, max_size=2)).map(
            lambda two: {**two[0], **two[1]}
        )
        right = self._object(shape, self.right_field)
        any_of_them = st.one_of(right, right, edgy, spoilt)
        if shape not in self.held:
            return any_of_them
        held = st.sampled_from(self.held[shape])
        return st.one_of(any_of_them, st.tuples(any_of_them, held).map(lambda two: {**two[0], **two[1]}))

    def _object(
        self, shape: str, field: Callable[[Field], st.SearchStrategy[Any]]
    ) -> st.SearchStrategy[dict[str, Any]]:
        fields = {f.name: field(f) for f in self.known[shape] if re.fullmatch(r"\w+", f.name)}
        needed = {f.name for f in self.known[shape] if f.required}
        others = (
            st.lists(st.sampled_from(sorted(set(fields) - needed)), max_size=3)
            if set(fields) - needed
            else st.just([])
        )
        return others.flatmap(
            lambda more: st.fixed_dictionaries({name: fields[name] for name in sorted({*needed, *more})})
        )

    def right_field(self, field: Field) -> st.SearchStrategy[Any]:
        """What the reference allows, with a preference for the edges."""
        low, high = int(field.lowest or 0), int(field.highest or 9)
        fitting = next((self.names[word] for word in self.names if word in field.name.lower()), ["ann", "x1"])
        numbers = st.sampled_from(sorted({low, high, min(low + 1, high), min(low + 2, high)})).map(
            lambda n: f"@{n}@"
        )
        shape = self.shape_of(field.name)
        inner: st.SearchStrategy[Any] = (
            st.deferred(lambda: self._object(str(shape), self.right_field)) if shape else st.just({})
        )
        strategies: dict[str, st.SearchStrategy[Any]] = {
            "string": st.sampled_from(list(field.one_of or fitting)),
            "integer": numbers,
            "number": numbers,
            "boolean": st.booleans(),
            "object": inner,
            "array": st.lists(inner if shape else st.sampled_from(fitting), min_size=min(low, 1), max_size=3),
        }
        return strategies.get(field.type, self.any_json)

    def shape_of(self, name: str) -> str | None:
        """The nested shape of a field, when the reference has one of its name."""
        also = {"budget": "workload", "intent": "create_intent"}
        return next((s for s in self.known if name in (s, s + "s") or also.get(name) == s), None)

    def field(self, field: Field) -> st.SearchStrategy[Any]:
        """Mostly of the right type, often at the edge of what is allowed or beyond."""
        edges = [
            f"@{int(edge) + by}@"
            for edge in (field.lowest, field.highest)
            if edge is not None
            for by in (-1, 0, 1)
        ]
        right: dict[str, st.SearchStrategy[Any]] = {
            "string": st.sampled_from(list(field.one_of)) if field.one_of else self.text(field.name),
            "integer": st.one_of(st.integers(0, 4), st.integers(0, 2), st.sampled_from(edges or ["@1@"])),
            "number": st.one_of(self.numbers, st.sampled_from(edges or ["@1@"])),
            "boolean": st.booleans(),
            "object": st.one_of(
                st.dictionaries(self.keys, self.any_json, max_size=3), self._inner(field.name)
            ),
            "array": st.one_of(
                st.lists(self.any_json, max_size=3), st.lists(self._inner(field.name), max_size=2)
            ),
        }
        fitting = right.get(field.type, self.any_json)
        return st.one_of(*[fitting] * 7, self.any_json)

    def _inner(self, name: str) -> st.SearchStrategy[Any]:
        """A nested shape, when the reference has one of this name."""
        shape = self.shape_of(name)
        return (
            st.deferred(lambda: self.object(shape))
            if shape
            else st.dictionaries(self.keys, self.any_json, max_size=2)
        )


def deep(levels: int, of_objects: bool) -> str:
    """JSON that is so deep."""
    return '{"goal":' * levels + "1" + "}" * levels if of_objects else "[" * levels + "]" * levels
