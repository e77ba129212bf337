"""`sisu approve | reply`: what a human answers at a gate."""

from __future__ import annotations

import uuid
from typing import Any

import click

from . import render
from .given import parsed
from .runs import json_option, open_client

_shown = click.option(
    "--shown", "shown_sha256", metavar="SHA256", help="What was shown (sisu show): binds the answer to it."
)


@click.command()
@click.argument("run")
@click.option("--by", "approved_by", required=True, help="Who decides.")
@click.option("--notes", help="Why.")
@click.option("--no", "refuse", is_flag=True, help="Reject the plan: the run ends in ERROR.")
@click.option("--dedupe-key", help="The same key again is a replay of the same answer.")
@_shown
@json_option
def approve(
    run: str,
    approved_by: str,
    notes: str | None,
    refuse: bool,
    dedupe_key: str | None,
    shown_sha256: str | None,
    as_json: bool,
) -> None:
    """Approve (or with --no reject) the plan of a run."""
    decision = "no" if refuse else "yes"
    with open_client() as client:
        answer = client.approve_plan(run, approved_by, notes, decision, dedupe_key, shown_sha256)
    render.approved(answer, refuse, as_json)


@click.command()
@click.argument("run")
@click.argument("gate")
@click.option("--payload", default="{}", show_default=True, help="The answer, a JSON object.")
@click.option("--by", "origin", required=True, help="Who answers.")
@click.option("--dedupe-key", help="The same key again is a replay of the same answer.  [default: a new one]")
@_shown
@json_option
def reply(
    run: str,
    gate: str,
    payload: str,
    origin: str,
    dedupe_key: str | None,
    shown_sha256: str | None,
    as_json: bool,
) -> None:
    """Answer the gate GATE of a run; ahead of time, the answer is kept until the gate opens."""
    answer = _object(payload)
    key = dedupe_key or uuid.uuid4().hex
    with open_client() as client:
        render.replied(client.reply_gate(run, gate, answer, key, origin, shown_sha256), as_json)


def _object(text: str) -> dict[str, Any]:
    value = parsed("--payload", text)
    if not isinstance(value, dict):
        raise click.UsageError("--payload must be a JSON object")
    return value
