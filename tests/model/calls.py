"""What the contract says about each public call: it changes the world and returns the answer, or raises Refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import moves
from .recipes import JSON, TICK_MS, VERSIONS, intent_id
from .world import LIVE, Door, Refused, Run, World

DEFAULT_VERSION = "0.1.0"
# the options that a start compares, with what they mean when they are left out
DEFAULTS: JSON = {
    "queuePartitionKey": "",
    "workload": None,
    "budget": None,
    "timeoutMS": None,
    "tenantId": None,
}
PINNED = ("appVersion", "ocMode", "sbxMode", "recipeVersion")
NEXT_ACTION = {
    "ERROR": "REPAIR",
    "CANCELLED": "RESUME",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "RESUME",
}


def known(world: World, run_id: str) -> Run:
    run = world.find(run_id)
    if run is None:
        raise Refused("PT404", "run_not_found")
    return run


def create_intent(world: World, body: JSON) -> JSON:
    wid = intent_id(body)
    replay = wid in world.all_intents()
    world.intents.add(wid)
    return {"intentId": wid, "isReplay": replay}


def normal(world: World, options: JSON) -> JSON:
    """Start arguments with their defaults."""
    lane = options.get("lane", "interactive")
    filled = {**DEFAULTS, "lane": lane, "priority": 1 if lane == "interactive" else 1000, **options}
    filled["queuePartitionKey"] = filled["queuePartitionKey"] or ""
    filled.setdefault("recipeVersion", world.recipe_version(options["recipeName"]))
    for key, value in (("appVersion", DEFAULT_VERSION), ("ocMode", "replay"), ("sbxMode", "mock")):
        filled.setdefault(key, value)
    filled["timeout"] = (filled["timeoutMS"] or 0) // TICK_MS
    return filled


def check_start(world: World, wid: str, options: JSON) -> None:
    """400 for policy, 404 for what is missing, 409 for drift: in this order."""
    wanted = normal(world, options)
    recipe = VERSIONS.get((wanted["recipeName"], wanted["recipeVersion"]))
    workload, budget = wanted["workload"] or {}, wanted["budget"] or {}
    policy = set()
    if any(workload[what] > budget[what] for what in workload if what in budget):
        policy.add("budget_violation")
    if recipe and len(recipe.steps) > budget.get("steps", len(recipe.steps)):
        policy.add("budget_violation")
    closed = world.bottom.partitioned and recipe is not None and recipe.queues() & {"intentQ", "sbxQ"}
    if closed and not wanted["queuePartitionKey"].strip():
        policy.add("queue_policy_violation")
    if policy:
        raise Refused("PT400", policy.pop() if len(policy) == 1 else None)
    if wid not in world.all_intents():
        raise Refused("PT404", "intent_not_found")
    if recipe is None:
        raise Refused("PT404", "recipe_not_found")


def begin(world: World, wid: str, options: JSON) -> tuple[str, bool]:
    """A run is started, or the start replayed: its status, and whether it was there."""
    wanted = normal(world, options)
    run = world.find(wid)
    if run is not None:
        stored = run.options
        same = [key for key in wanted if key not in PINNED or key in options]
        if any(wanted[key] != stored[key] for key in same if key != "traceId"):
            raise Refused("PT409", "drift")
        return run.status, True
    if wanted["recipeVersion"] != world.recipe_version(wanted["recipeName"]):
        raise Refused("PT409", "recipe_not_active")
    recipe = VERSIONS[wanted["recipeName"], wanted["recipeVersion"]]
    partition, priority = wanted["queuePartitionKey"], wanted["priority"]
    run = Run(wid, wid, recipe, wanted, wanted["appVersion"], partition, priority, world.number())
    world.runs[wid] = run
    moves.start_timeout(world, run)
    moves.enter(world, run, 0)
    return run.status, False


def start_run(world: World, wid: str, options: JSON) -> JSON:
    check_start(world, wid, options)
    status, replay = begin(world, wid, options)
    return {"workflowID": wid, "status": status, "isReplay": replay}


def start_runs(world: World, items: Sequence[tuple[JSON, bool, JSON]]) -> list[JSON]:
    """All or nothing. An item is an intent's body, whether it is given by its id only, and options."""
    for body, by_id, _ in items:
        if not by_id:
            world.intents.add(intent_id(body))
    ids = [intent_id(body) for body, _, _ in items]
    faults = []
    for wid, (_, _, options) in zip(ids, items, strict=True):
        try:
            check_start(world, wid, options)
        except Refused as refusal:
            faults.append(refusal)
    refuse_first(faults)
    answers = []
    for wid, (_, _, options) in zip(ids, items, strict=True):
        try:
            status, replay = begin(world, wid, options)
        except Refused as refusal:
            faults.append(refusal)
        else:
            answers.append({"workflowID": wid, "status": status, "isReplay": replay})
    refuse_first(faults)
    return answers


def refuse_first(faults: Sequence[Refused]) -> None:
    """400 before 404 before 409; the contract does not say which of several of one class."""
    if faults:
        first = min(refusal.sqlstate for refusal in faults)
        codes = {refusal.code for refusal in faults if refusal.sqlstate == first}
        raise Refused(first, codes.pop() if len(codes) == 1 else None)


def reply_gate(world: World, run_id: str, key: str, payload: JSON, dedupe: str) -> JSON:
    run = known(world, run_id)
    found = run.recipe.gate(key)
    if found is None:
        raise Refused("PT404", "gate_not_found")
    idx, gate = found
    if gate.kind == "approval" and payload.get("decision") not in ("yes", "no"):
        raise Refused("PT400", "schema_violation")
    if (key, dedupe) in run.replies:
        if run.replies[key, dedupe] != payload:
            raise Refused("PT409", "dedupe_conflict")
        return {"isReplay": True}
    door = run.doors.get(key)
    over = door is not None and door.expires is not None and world.bottom.clock >= door.expires
    if not run.live or over or (door is not None and door.status != "OPEN"):
        raise Refused("PT409", "gate_closed")
    run = world.edit(run_id)
    run.replies[key, dedupe] = payload
    world.audits[run_id] += 1
    if door is None:
        run.doors[key] = Door(idx, "ANSWERED", payload=payload)
        return {"isReplay": False}
    door = run.doors[key]
    door.status, door.payload, door.expires = "ANSWERED", payload, None
    run.timers = [timer for timer in run.timers if timer.gate != key]
    if moves.says_no(run, key):
        moves.fail(run, "gate_rejected")
    else:
        run.status = "PENDING"
        moves.enqueue(run, idx)
    return {"isReplay": False}


def approve_plan(
    world: World, run_id: str, by: str, notes: str | None, decision: str, dedupe: str | None
) -> JSON:
    payload: JSON = {"decision": decision, "approvedBy": by, **({"notes": notes} if notes else {})}
    run = known(world, run_id)
    door = run.doors.get("approve-plan")
    number = door.round if door else 1
    # without a key: the one under which the same person answered before
    own = [key for key, signed in run.signed.items() if signed == (number, by)]
    usual = "approve-plan" if number == 1 else f"approve-plan round {number}"
    name = dedupe or min(own, default=usual)
    answer = reply_gate(world, run_id, "approve-plan", payload, name)
    if not answer["isReplay"]:
        world.edit(run_id).signed[name] = number, by
    return {"accepted": True, "workflowID": run_id, **answer}


def control(world: World, run_id: str, allowed: Sequence[str]) -> Run:
    run = known(world, run_id)
    if run.status not in allowed:
        raise Refused("PT409", "illegal_transition")
    return run


def answer(run_id: str, status: str, dry: bool) -> JSON:
    return {"accepted": True, "workflowID": run_id, "status": status, "dryRun": dry}


def cancel_run(world: World, run_id: str, dry: bool) -> JSON:
    run = control(world, run_id, LIVE)
    if not dry:
        run = world.edit(run_id)
        moves.end(run, "CANCELLED")
        world.audits[run_id] += 1
    return answer(run_id, run.status, dry)


def resume_run(world: World, run_id: str, dry: bool) -> JSON:
    run = control(world, run_id, ("CANCELLED", "ENQUEUED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"))
    if not dry:
        run = world.edit(run_id)
        if run.status != "ENQUEUED":
            moves.reopen(world, run, asks_again=False)
        world.audits[run_id] += 1
    return answer(run_id, run.status, dry)


def repair_run(world: World, run_id: str, dry: bool) -> JSON:
    run = control(world, run_id, ("ERROR",))
    if not dry:
        run = world.edit(run_id)
        moves.reopen(world, run, asks_again=True)
        world.audits[run_id] += 1
    return answer(run_id, run.status, dry)


def fork_run(
    world: World, run_id: str, step_n: int, version: str | None, patch: JSON | None, body: JSON, dry: bool
) -> JSON:
    """`body` is the intent of the source, `patch` what its inputs are mended with."""
    source = known(world, run_id)
    if step_n > source.recipe.last:
        raise Refused("PT409", "fork_out_of_range")
    if any(not source.succeeded(n) for n in range(step_n)):
        raise Refused("PT409", "fork_needs_finished_steps")
    root = source.root or run_id
    forks = sum(1 for run in world.all_runs().values() if run.root == root)
    wid = f"{root}-f{forks + 1}"
    if not dry:
        run = moves.fork(world, source, wid, step_n, world.number())
        run.version = version or source.version
        if patch:
            run.intent = intent_id({**body, "inputs": {**body["inputs"], **patch}})
            world.intents.add(run.intent)
        world.runs[wid] = run
        world.audits[run_id] += 1
    world.locks |= {run_id, root}
    return {"accepted": True, "workflowID": run_id, "forkedWorkflowID": wid, "stepN": step_n, "dryRun": dry}


def header(world: World, run_id: str) -> JSON:
    """Those fields of the run header that the model knows."""
    run = known(world, run_id)
    action = NEXT_ACTION.get(run.status)
    if run.status == "WAITING_INPUT":
        door = run.doors.get("approve-plan")
        action = "APPROVE_PLAN" if door and door.status == "OPEN" else "REPLY_GATE"
    return {
        "workflowID": run_id,
        "status": run.status,
        "nextAction": action,
        "workflowName": run.recipe.name,
        "recipe": {"name": run.recipe.name, "version": run.recipe.version},
        "queuePartitionKey": run.partition or None,
        "appVersion": run.version,
        "forkedFrom": run.forked_from,
    }


def steps(world: World, run_id: str) -> list[Any]:
    """(idx, status) of the latest attempt of each step, in order."""
    run = known(world, run_id)
    latest = [run.latest(idx) for idx in range(len(run.recipe.steps))]
    return [[one.idx, one.status, one.number] for one in latest if one is not None]
