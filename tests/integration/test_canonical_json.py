"""app.canonical_json gives the text of RFC 8785, byte for byte what the rfc8785 package gives."""

from __future__ import annotations

import hashlib
import json
import math
import random
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from sisu_kodo import database
from tests.conftest import Server

LARGEST_INTEGER = 2**53 - 1

# Every character that a jsonb text can hold, and often those that matter: controls, both sides of the
# surrogates, astral planes.
CHARACTERS = st.one_of(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]),
    st.sampled_from(
        '\x01\b\t\n\x0b\f\r\x1f\x7f"\\/\u2028\ud7ff\ue000\uf8ff\ufb33\uffff\U00010000\U0001f600\U0010ffff'
    ),
)
TEXTS = st.text(CHARACTERS, max_size=8)
NUMBERS = st.one_of(
    st.integers(-LARGEST_INTEGER, LARGEST_INTEGER),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXTS, inner, max_size=6)),
    max_leaves=25,
)

# RFC 8785, appendix B: the bits of a double and its text.
APPENDIX_B = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.fixture(scope="module")
def conn(server: Server, template: str) -> Iterator[Connection[Any]]:
    """One database for the whole file: nothing here depends on what another test wrote."""
    name = server.create(template)
    with closing(database.connect(server.dsn(name))) as one:
        yield one
    server.drop(name)


def canonical(conn: Connection[Any], text: str) -> str:
    row = conn.execute("select app.canonical_json(%s::jsonb)", [text]).fetchone()
    assert row is not None
    return str(row[0])


def double(bits: str) -> float:
    value: float = struct.unpack(">d", bytes.fromhex(bits))[0]
    return value


@settings(max_examples=400, deadline=None, derandomize=True)
@given(value=VALUES)
@example(value={"\U00010000": 1, "\ufb33": 2, "\ud7ff": 3, "\ue000": 4, "a": 5, "": 6})
@example(value={"aa": 1, "b": 2, "B": 3, "a": {"zz": 1, "z": 2}})
@example(value=[1.0, -0.0, 1e21, 1e-7, 5e-324, 1e23, 9007199254740991])
def test_it_is_what_rfc8785_gives(conn: Connection[Any], value: Any) -> None:
    assert canonical(conn, json.dumps(value)) == rfc8785.dumps(value).decode()


@pytest.mark.parametrize(("bits", "text"), APPENDIX_B)
def test_numbers_of_the_appendix(conn: Connection[Any], bits: str, text: str) -> None:
    assert rfc8785.dumps(double(bits)).decode() == text
    assert canonical(conn, repr(double(bits))) == text


def test_ten_thousand_doubles_of_every_size(conn: Connection[Any]) -> None:
    dice = random.Random(8785)
    doubles = [struct.unpack(">d", dice.randbytes(8))[0] for _ in range(8000)]
    for _ in range(4000):
        doubles.append(dice.choice([-1, 1]) * dice.randrange(1, 10**17) * 10.0 ** dice.randrange(-25, 25))
    doubles += [float(2**exponent) for exponent in range(-1074, 1024)]
    finite = [value for value in doubles if math.isfinite(value)]
    assert len(finite) > 10_000
    rows = conn.execute(
        "select app.canonical_json(v::jsonb) from unnest(%s::text[]) with ordinality as u (v, n) order by n",
        [[repr(value) for value in finite]],
    ).fetchall()
    wrong = [
        (repr(value), got, want)
        for value, (got,) in zip(finite, rows, strict=True)
        if got != (want := rfc8785.dumps(value).decode())
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("given_text", "text"),
    [
        ("1.0", "1"),
        ("-0", "0"),
        ("1.50", "1.5"),
        ("100", "100"),
        ("1E2", "100"),
        ("0.10", "0.1"),
        ("9007199254740993", "9007199254740992"),
        ("123456789012345678901234567890", "1.2345678901234568e+29"),
        ("0.1000000000000000055511151231257827", "0.1"),
        ("1e-400", "0"),
    ],
)
def test_a_number_is_a_double(conn: Connection[Any], given_text: str, text: str) -> None:
    assert canonical(conn, given_text) == text
    assert canonical(conn, f'{{"a":[{given_text}]}}') == f'{{"a":[{text}]}}'


@pytest.mark.parametrize("number", ["1e309", "-1e309", "1e5000"])
def test_a_number_that_is_no_double_is_refused(conn: Connection[Any], number: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        canonical(conn, f'{{"a": {number}}}')
    assert refused.value.sqlstate == "PT400"
    assert json.loads(refused.value.diag.message_detail or "")["code"] == "schema_violation"


def test_control_characters_are_escaped_in_lower_case(conn: Connection[Any]) -> None:
    controls = "".join(map(chr, range(1, 32)))
    escaped = canonical(conn, json.dumps(controls))
    assert escaped == rfc8785.dumps(controls).decode()
    assert "\\u001f" in escaped and "\\b\\t\\n\\u000b\\f\\r" in escaped
    assert canonical(conn, '"\\u2028\\u007f/"') == '"\u2028\x7f/"'


def test_the_intent_of_the_contract_has_its_id(conn: Connection[Any]) -> None:
    primitives = ["Collect", "Fetch", "Extract", "Normalize", "Decide", "Act", "Report", "Legacy"]
    intent = {
        "goal": "Hello bob",
        "inputs": {"n": 3},
        "constraints": {"stepLibrary": {"primitives": primitives}},
    }
    row = conn.execute("select app.create_intent(%s::jsonb) ->> 'intentId'", [json.dumps(intent)]).fetchone()
    assert row == ("ih_17e8647fcabb1957b67f173a68148d8f7ee5acf029d791d4560b812ddeb9a0cd",)


def test_a_task_key_is_the_hash_of_run_step_and_task(conn: Connection[Any]) -> None:
    task = {"cmd": ["pytest", "-q"], "limits": {"cpu": 1.0}}
    content: dict[str, Any] = {"runId": "ih_1", "stepId": "ExecuteST", "task": task}
    row = conn.execute("select app.task_key('ih_1', 'ExecuteST', %s::jsonb)", [json.dumps(task)]).fetchone()
    assert row == (hashlib.sha256(rfc8785.dumps(content)).hexdigest(),)


def test_hashes(conn: Connection[Any]) -> None:
    row = conn.execute("select app.sha256_hex('none'), app.sha256_hex('\\x6e6f6e65'::bytea)").fetchone()
    assert row == ("140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe",) * 2
    row = conn.execute("select app.sha256_hex('é')").fetchone()
    assert row == (hashlib.sha256("é".encode()).hexdigest(),)


def test_depth_is_bounded(conn: Connection[Any]) -> None:
    assert canonical(conn, "[" * 400 + "]" * 400) == "[" * 400 + "]" * 400
    with pytest.raises(psycopg.Error) as refused:
        canonical(conn, "[" * 2000 + "]" * 2000)
    assert refused.value.sqlstate == "PT400"


def test_a_typical_intent_takes_well_under_a_millisecond(conn: Connection[Any]) -> None:
    intent = json.dumps({
        "goal": "Repair the parser so that nested parentheses are read",
        "inputs": {"workspace": "examples/broken-calc", "n": 3, "ratio": 0.75, "labels": ["a", "b", "c"]},
        "constraints": {"stepLibrary": {"primitives": ["Collect", "Fetch", "Extract", "Decide"]}, "max": 10},
    })  # fmt: skip
    statement = """
        select count(app.canonical_json(jsonb_set(%s::jsonb, '{n}', to_jsonb(i))))
        from generate_series(1, 200) as i
    """
    best = math.inf
    for _ in range(5):
        begun = time.perf_counter()
        conn.execute(statement, [intent])
        best = min(best, (time.perf_counter() - begun) / 200)
    assert best < 0.001, f"{best * 1e6:.0f} µs"
