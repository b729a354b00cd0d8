"""Builds the Grafana dashboards: ``python -m monitoring.dashboards`` writes ``monitoring/grafana/dashboards``.

A development tool: it needs grafana-foundation-sdk, which the service does not, so no role imports it and the wheel
leaves it out. Reading order: ``panels``, ``page``, ``overview`` and its neighbours, ``files``.
"""
