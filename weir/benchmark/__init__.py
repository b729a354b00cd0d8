"""Does choosing what to learn from pay? One question, asked of estimators, rules, budgets and label noise.

In reading order: ``examples`` the data, ``sources`` where it comes from, ``noise`` wrong labels on purpose,
``policies`` how training rows are chosen, ``grid`` which cells are run, ``learner`` with ``head`` and ``transformer``
what learns, ``trial`` one cell, ``quality`` its figures, ``results`` what is kept, ``runner`` all cells, ``comparison``
intervals and tests, ``report`` what is said of it.
"""
