"""Measure whether importance sampling pays, by estimator, selection strategy, budget and label noise.

In reading order: ``examples`` the data, ``sources`` where they come from, ``noise`` deliberately wrong labels,
``learner`` the model, as ``head`` on ``vectors`` or as ``transformer``, ``policies`` the selection of training rows,
``rounds`` of a run and their cost, ``grid`` the cells, ``stage`` the state that cells share, ``selection_totals`` of a
run, ``quality`` its metrics, ``trial`` one cell, ``results`` the stored records, ``ranks`` which estimators rank alike,
``tracking`` of finished cells, ``runner`` all cells, ``comparison`` intervals and tests, ``findings`` derived from the
results, ``plots``, ``report`` and ``page`` their presentation.
"""
