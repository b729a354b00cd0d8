"""``weir up``: the whole stack on this machine, with a replay and a live view.

``run`` starts and ends everything, ``view`` and ``screen`` show it, ``throttle`` slows a replay down to the speed of
training, ``addresses`` lets other commands find the running stack.
"""
