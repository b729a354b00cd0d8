"""Draws the dashboards from a Prometheus, without Grafana: ``python -m monitoring.dashboards.pictures``.

Not Grafana's pixels, but its panels where they are, with its queries, units and legends: enough to see what an operator
would. Reading order: ``source`` (what Grafana would ask), ``units`` (how it writes values), ``canvas``,
``kinds`` (of panels), ``draw``.
"""
