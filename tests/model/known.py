"""What the engine does today although the contract says otherwise. Each is one line here and one branch in the model.

After a fix: set it to False, see the machine green, delete it. At this moment there is nothing.
"""
