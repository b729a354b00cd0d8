"""``weir up``: the whole stack on this machine, with a replay and a live view.

``run`` starts and ends everything, ``view`` and ``screen`` show it, ``throttle`` keeps a replay behind the learner,
``addresses`` lets other commands find the running stack.
"""
