"""app.cron_next and app.cron_previous give the ticks that cronsim gives, clock changes included.

Both follow Debian's cron. What is not asked, because cronsim (2.8) is wrong or means something else there:

* it looks 50 years ahead, the engine a little more than eight;
* it reads `5-5/2` as `5/2`;
* expressions whose minute or hour begins with a star, in zones whose clocks change by half an hour, within an
  hour or at midnight: it steps by whole hours and takes the first of two equal midnights, or never ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from sisu_kodo import database
from tests.conftest import Server

INSTANTS, EXAMPLES = 8, 60
ZONES = ("UTC", "Europe/Berlin", "Europe/London", "America/New_York", "Australia/Sydney", "Asia/Kathmandu")
ODD_ZONES = ("Australia/Lord_Howe", "Pacific/Chatham", "America/St_Johns", "America/Havana")
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
FIRST, LAST = datetime(2004, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
HORIZON = timedelta(days=365 * 8 + 2)
"""Every tick that is nearer must be found; one that is farther need not be."""


class Question(NamedTuple):
    expression: str
    zone: str
    instant: datetime


@cache
def changes(zone: str) -> list[datetime]:
    """The instants at which the clocks of a zone change, to the minute."""
    found, tz = [], ZoneInfo(zone)
    at = FIRST
    while at < LAST:
        low, high = at, at + timedelta(days=1)
        if low.astimezone(tz).utcoffset() != high.astimezone(tz).utcoffset():
            while high - low > timedelta(minutes=1):
                middle = low + ((high - low) / 2) // timedelta(minutes=1) * timedelta(minutes=1)
                same = middle.astimezone(tz).utcoffset() == low.astimezone(tz).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        at += timedelta(days=1)
    return found


def element(low: int, high: int, names: list[str]) -> st.SearchStrategy[str]:
    """One element of a field: a number or a name, a range, with or without a step."""
    number = st.integers(low, high).map(str)
    value = st.one_of(number, st.sampled_from([*names, *map(str.upper, names)])) if names else number
    pair = st.tuples(st.integers(low, high - 1), st.integers(1, high))
    span = pair.map(lambda p: f"{p[0]}-{min(p[0] + p[1], high)}")
    step = st.integers(1, high + 1).map(lambda n: f"/{n}")
    stepped = st.tuples(st.one_of(st.just("*"), number, span), step).map("".join)
    return st.one_of(value, value, value, span, st.just("*"), stepped, stepped)


def field(low: int, high: int, names: list[str] | None = None, stars: int = 1) -> st.SearchStrategy[str]:
    """A field: an element, a list of up to three, or (so many times as often) a star."""
    one = element(low, high, names or [])
    listed = st.lists(one, min_size=2, max_size=3).map(",".join)
    return st.one_of(one, listed, *[st.just("*")] * stars)


ANYTIME = st.tuples(
    field(0, 59),
    field(0, 23),
    field(1, 31, stars=3),
    field(1, 12, MONTHS, stars=3),
    field(0, 7, DAYS, stars=3),
).map(" ".join)
EARLY = st.tuples(field(0, 59, stars=0), element(0, 3, [])).map(lambda pair: f"{pair[0]} {pair[1]} * * *")
"""Every day in the hours in which clocks change."""


@st.composite
def questions(draw: st.DrawFn) -> list[Question]:
    """An expression in a zone, asked about at instants anywhere and near changes of the clocks."""
    expression = draw(st.one_of(ANYTIME, EARLY))
    minute, hour, *_ = expression.split()
    in_real_time = minute.startswith("*") or hour.startswith("*")
    zone = draw(st.sampled_from(ZONES if in_real_time else ZONES + ODD_ZONES))
    anywhere = st.integers(0, int((LAST - FIRST).total_seconds())).map(lambda n: FIRST + timedelta(seconds=n))
    hours = st.integers(-150, 150).map(lambda n: timedelta(minutes=n))
    near = st.tuples(st.sampled_from(changes(zone) or [FIRST]), hours).map(lambda pair: pair[0] + pair[1])
    instants = draw(st.lists(st.one_of(anywhere, near), min_size=INSTANTS, max_size=INSTANTS))
    return [Question(expression, zone, instant) for instant in instants]


def reference(question: Question, *, back: bool) -> datetime | None:
    """What cronsim says. It forgets which of two equal times it begins at, so it begins three hours aside."""
    expression, zone, instant = question
    aside = timedelta(hours=3 if back else -3)
    try:
        ticks = CronSim(expression, (instant + aside).astimezone(ZoneInfo(zone)), reverse=back)
        for local in ticks:
            tick = local.astimezone(UTC)
            if (tick < instant) if back else (tick > instant):
                return tick if abs(tick - instant) < HORIZON else None
    except CronSimError:
        pass  # it refuses what never happens
    return None


@pytest.fixture(scope="module")
def conn(server: Server, template: str) -> Iterator[Connection[Any]]:
    """One database for the whole file: nothing here writes."""
    name = server.create(template)
    with closing(database.connect(server.dsn(name))) as one:
        yield one
    server.drop(name)


ASK = """
select app.cron_next(e, z, t), app.cron_previous(e, z, t)
from unnest(%s::text[], %s::text[], %s::timestamptz[]) with ordinality as q (e, z, t, n) order by n
"""


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(batch=st.lists(questions(), min_size=4, max_size=4))
def test_the_ticks_are_those_of_cronsim(conn: Connection[Any], batch: list[list[Question]]) -> None:
    asked = [question for one in batch for question in one]
    rows = conn.execute(ASK, [list(column) for column in zip(*asked, strict=True)]).fetchall()
    wrong = []
    for question, (after, before) in zip(asked, rows, strict=True):
        for got, back in ((after, False), (before, True)):
            want = reference(question, back=back)
            far = want is None and got is not None and abs(got - question.instant) >= HORIZON
            if got != want and not far:
                wrong.append((question, "previous" if back else "next", got, want))
    assert not wrong
