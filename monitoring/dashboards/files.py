"""The files of the dashboards: names and contents. Each is built from its module."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from monitoring.dashboards import buffer, drift, models, overview, stream

DIRECTORY = Path(__file__).parents[1] / "grafana" / "dashboards"


def texts() -> dict[str, str]:
    """Return the JSON text of each dashboard by file name."""
    built = (module.build().build() for module in (overview, stream, buffer, models, drift))
    return {f"{each.uid}.json": json.dumps(each, cls=JSONEncoder, indent=2) + "\n" for each in built}
