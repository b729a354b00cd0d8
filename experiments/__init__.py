"""Does choosing what to learn from pay? One question, asked of estimators, rules, budgets and label noise.

In reading order: ``examples`` the data, ``sources`` where it comes from, ``noise`` wrong labels on purpose,
``learner`` what learns, as ``head`` on ``vectors`` or as ``transformer``, ``policies`` how training rows are chosen,
``rounds`` of a run and their cost, ``grid`` which cells are run, ``stage`` what cells share, ``ledger`` what a run
selected, ``quality`` its metrics, ``trial`` one cell, ``results`` what is kept, ``ranks`` which estimators rank alike,
``tracking`` cells as they finish, ``runner`` all cells, ``comparison`` intervals and tests, ``findings`` what the
results say, ``plots``, ``report`` and ``page`` how it is shown.
"""
