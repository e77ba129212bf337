"""What the engine does today although the contract says otherwise. Each is one line here and one branch in the model.

After a fix: set it to False, see the machine green, delete it.
"""

from __future__ import annotations

# An expired lease whose run somebody holds at the moment of the recovery is left alone, but not its message: it has been read, so
# its read count is another one than that of the attempt, and the dead worker's lease lasts lease_seconds longer.
A_LEASE_THAT_IS_LEFT_ALONE_IS_RENEWED = True

# A worker that is lost after the cancel of its run counts as a recovery of the resumed run: the count of max_recoveries begins anew
# with every other end of an attempt, and with the resume of a poisoned run, but not here.
A_LOSS_AFTER_THE_CANCEL_COUNTS = True

# The outputs of the tasks of a step come in the order of the tasks, says docs/recipes.md. Those of a step that was repaired or resumed
# come in the order in which each task was first made, by whichever attempt of the step.
TASKS_OF_A_STEP_THAT_WAS_MADE_AGAIN_ARE_IN_ANY_ORDER = True
