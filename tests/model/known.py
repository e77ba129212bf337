"""What the engine does today although the contract says otherwise. Each is one line here and one branch in the model.

After a fix: set it to False, see the machine green, delete it.
"""

from __future__ import annotations

# An attempt that is in flight when its run is cancelled and resumed does not count against the retry policy when it fails
# afterwards (retry_or_give_up compares enqueued_at with reopened_at): a step with maxAttempts 1 gets a second attempt.
AN_ATTEMPT_IN_FLIGHT_AT_A_RESUME_IS_NOT_COUNTED = True

# release and register_worker count only the lanes that go back in line, not those they held of runs that are over.
LANES_OF_ENDED_RUNS_ARE_NOT_COUNTED = True
