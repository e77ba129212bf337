"""What the engine does today although the contract says otherwise. Each is one line here and one branch in the model.

After a fix: set it to False, see the machine green, delete it.
"""

from __future__ import annotations

# An expired lease whose run somebody holds at the moment of the recovery is left alone, but not its message: it has been read, so
# its read count is another one than that of the attempt, and the dead worker's lease lasts lease_seconds longer.
A_LEASE_THAT_IS_LEFT_ALONE_IS_RENEWED = True
