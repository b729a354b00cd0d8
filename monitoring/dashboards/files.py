"""The files of the dashboards: names and contents. Each is built from its module."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards import buffer, drift, models, overview, stream

DIRECTORY = Path(__file__).parents[1] / "grafana" / "dashboards"


def texts() -> dict[str, str]:
    """Return the JSON text of each dashboard by file name."""
    built = (module.build().build() for module in (overview, stream, buffer, models, drift))
    return {f"{each.uid}.json": json.dumps(_valid(each), cls=JSONEncoder, indent=2) + "\n" for each in built}


def _valid(page: Dashboard) -> Dashboard:
    """Give panels ids, and take from variables what only those of intervals may have: the SDK writes it to all."""
    for number, panel in enumerate(page.panels or [], start=1):
        panel.id_val = number
    variables = page.templating and page.templating.list_val
    for variable in variables or []:
        variable.auto = variable.auto_min = variable.auto_count = None
    return page
