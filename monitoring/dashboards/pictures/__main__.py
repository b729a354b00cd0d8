"""Draw each dashboard into a directory."""

import argparse
import time
from pathlib import Path

from monitoring.dashboards.pictures.draw import draw_all
from monitoring.dashboards.pictures.source import Source, Window


def main() -> None:
    """Read the arguments and draw."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.dashboards.pictures", description=__doc__)
    parser.add_argument("url", help="of Prometheus")
    parser.add_argument("directory", type=Path, help="where the pictures go: weir-overview.png and so on")
    parser.add_argument("--end", type=float, default=time.time(), help="of the time range, in seconds since the epoch")
    parser.add_argument("--seconds", type=float, default=6 * 3600, help="length of the time range")
    parser.add_argument("--scrape-seconds", type=float, default=15, help="Prometheus' scrape interval")
    arguments = parser.parse_args()
    window = Window(arguments.end - arguments.seconds, arguments.end, arguments.scrape_seconds)
    for panel in draw_all(Source(arguments.url, window), arguments.directory):
        print(f"no data: {panel}")


if __name__ == "__main__":
    main()
