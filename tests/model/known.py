"""What the engine does today although the contract says otherwise. Each is one line here and one branch in the model.

After a fix: set it to False, see the machine green, delete it.
"""

from __future__ import annotations

# An attempt that is in flight when its run is cancelled and resumed does not count against the retry policy when it fails
# afterwards (retry_or_give_up compares enqueued_at with reopened_at): a step with maxAttempts 1 gets a second attempt.
AN_ATTEMPT_IN_FLIGHT_AT_A_RESUME_IS_NOT_COUNTED = True

# release and register_worker count only the lanes that go back in line, not those they held of runs that are over.
LANES_OF_ENDED_RUNS_ARE_NOT_COUNTED = True

# An expired lease whose run somebody holds at the moment of the recovery is left alone, but not its message: it has been read, so
# its read count is another one than that of the attempt, and the dead worker's lease lasts lease_seconds longer.
A_LEASE_THAT_IS_LEFT_ALONE_IS_RENEWED = True

# Laws that legal calls break. The budget: nothing holds the first attempts of steps, those of a repair or a resume, or other tasks
# that a repaired step makes instead of its first ones, to the budget; v_invariants reports the run when it is over.
BROKEN_LAWS = frozenset({"a run stays within its budget"})
