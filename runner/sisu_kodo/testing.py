"""Running a handler in a unit test, without a database.

    rehearsal = Rehearsal(answers={"ship-it": {"decision": "yes"}})
    assert rehearsal.run(fulfil, inputs={"items": ["tea"]}) == {…}
    assert [each["name"] for each in rehearsal.checkpoints] == […]

As in a runner, the handler begins anew after every wait and reads what it has done from the record; so a
handler that does not reach the same checkpoints every time fails here too. Sleeps are over at once.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from .checkpoints import InThread, Ledger, OnLoop, Waiting
from .config import Config, load_config
from .models import JSON, Checkpoints, RecipeRef, StepContext

_MOST_TURNS = 1000


class Unanswered(LookupError):
    """The handler waits at a gate for which the rehearsal has no answer."""


class Rehearsal:
    """A record in memory. `answers` maps gate keys to payloads; `checkpoints` are `{seq, kind, name, value}`,
    `artifacts` those that were emitted. A second `run` replays the first.
    """

    def __init__(self, answers: Mapping[str, JSON] | None = None, config: Config | None = None) -> None:
        self.answers = dict(answers or {})
        self.checkpoints: list[dict[str, JSON]] = []
        self.artifacts: list[dict[str, JSON]] = []
        self.turns = 0
        self._config = config or load_config()

    def run(
        self,
        handler: Callable[..., Any],
        *,
        inputs: Mapping[str, JSON] | None = None,
        intent: Mapping[str, JSON] | None = None,
        outputs: Mapping[str, JSON] | None = None,
        gates: Mapping[str, JSON] | None = None,
        task: JSON = None,
        settings: Mapping[str, JSON] | None = None,
    ) -> Any:
        """What the handler returns in the end. Raises what it raises, or Unanswered."""
        body = {"goal": "test", "inputs": dict(inputs or {}), "constraints": {}, **(intent or {})}
        facts = {
            "intent": body,
            "outputs": dict(outputs or {}),
            "gates": dict(gates or {}),
            "task": task,
            "recipe": RecipeRef("test", 1, dict(settings or {})),
        }
        for _ in range(_MOST_TURNS):
            self.turns += 1
            try:
                return self._turn(handler, facts)
            except Waiting as waiting:
                self._record(waiting.wait, self._over(waiting.wait))
        raise RuntimeError(f"the handler still waits after {_MOST_TURNS} turns")

    def _turn(self, handler: Callable[..., Any], facts: dict[str, Any]) -> Any:
        if inspect.iscoroutinefunction(handler):
            return asyncio.run(self._turn_on_loop(handler, facts))
        ledger = Ledger("TestST", self.checkpoints)
        value, raised = None, None
        try:
            value = handler(self._context(InThread(ledger, self._commit), facts))
        except BaseException as error:
            raised = error
        return _judged(ledger, value, raised)

    async def _turn_on_loop(self, handler: Callable[..., Any], facts: dict[str, Any]) -> Any:
        ledger = Ledger("TestST", self.checkpoints, main=asyncio.current_task())
        value, raised = None, None
        try:
            value = await handler(self._context(OnLoop(ledger, self._commit_async, asyncio.to_thread), facts))
        except BaseException as error:
            raised = error
        return _judged(ledger, value, raised)

    def _over(self, wait: dict[str, JSON]) -> JSON:
        if wait["kind"] == "sleep":
            return {"over": True}
        if wait["name"] not in self.answers:
            raise Unanswered(f"no answer for the gate {wait['name']}: {wait['gate']}")
        return {"payload": self.answers[wait["name"]]}

    def _record(self, place: Mapping[str, JSON], value: JSON) -> JSON:
        entry = {"seq": place["seq"], "kind": place["kind"], "name": place["name"], "value": value}
        self.checkpoints.append(entry)
        self.checkpoints.sort(key=lambda each: int(each["seq"]))
        return value

    def _commit(self, text: str) -> JSON:
        entry = json.loads(text)
        if entry["kind"] == "emit":
            self.artifacts.append(entry["artifact"])
            return self._record(entry, {"artifactId": len(self.artifacts)})
        return self._record(entry, entry["value"])

    async def _commit_async(self, text: str) -> JSON:
        return self._commit(text)

    def _context(self, checkpoints: Checkpoints, facts: dict[str, Any]) -> StepContext:
        return StepContext(
            run_id="test",
            step_id="TestST",
            idx=0,
            task_key="",
            attempt=1,
            handler="test",
            oc_mode="replay",
            sbx_mode="mock",
            trace_id=None,
            config=self._config,
            cancelled=bool,
            checkpoints=checkpoints,
            **facts,
        )


def _judged(ledger: Ledger, value: Any, raised: BaseException | None) -> Any:
    if (ended := ledger.ended(raised)) is not None:
        raise ended
    return value
