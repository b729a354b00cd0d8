"""Open Bandit: what a fashion shop's recommendations showed in a week, where, with which chance, and what was clicked.

Finds its tables or fetches the originals, and converts rows to interactions. The shop published hashes of features
instead of texts: their prefixes are the words here.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from datasets import bandit_logs
from datasets.bandit_logs import read
from datasets.directories import home_path, missing, search_paths
from datasets.download import Source, fetch
from datasets.interaction import Answer, Shown
from importance.callbacks import OnProgress
from importance.errors import InvalidInput, Unavailable
from importance.sample import Action

NAME = "open_bandit"
ABOUT = (
    "Open Bandit Dataset (its small version), ZOZO and Saito et al. 2020, arXiv:2008.07146, Apache-2.0. A real shop's "
    "impressions with positions and propensities; users and items are hashed features; 207 clicks of 40,000 are too "
    "few for a claim about quality"
)
ORIGIN = "https://raw.githubusercontent.com/st-tech/zr-obp/8cbd5fa4558b7ad2ba4781546d6604e4cc3e07c4/obp/dataset/obd"
_ORIGINALS = (
    ("bts/men/men.csv", 3_240_432, "db6d1f7ed2d591ba521533e45286d4c1fba7fe57a8ad2e80342210335f43c527"),
    ("bts/women/women.csv", 3_722_697, "e5d1b49a39b608585a2f3014a3f54970430cd37a495c1b73fceb85cdf428a5b8"),
    ("random/men/men.csv", 3_336_811, "ede6d08c6877f99cd3770f7d09e26c738e6aa6de4445ccccfb1356ba5d06b1eb"),
    ("random/women/women.csv", 3_817_771, "e65f3bd3beb17664fa69cc129bf7bf852a775f8ffa630506e505fc905315bb34"),
    ("random/men/item_context.csv", 4_287, "6d855c2b7e917d0448d71bbe62c023147495882c0fdc8c41e86fef86abf9fe09"),
    ("random/women/item_context.csv", 5_792, "b1ca4905f97703d196004f2ad4552c1e90c2afad8b50688d333b0d2dc0b33147"),
)
SOURCES = {name: Source(f"{ORIGIN}/{name}", sha256, size) for name, size, sha256 in _ORIGINALS}
STREAM_START_MS = int(datetime(2019, 11, 25, tzinfo=UTC).timestamp()) * 1_000  # the first of seven days is history
CLICK_AFTER_MS = 3_000  # the log records that there was a click, not when
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORD = 4  # hex digits of a hash that make a word: they distinguish all values of a feature, and fit the model's input


def locate(
    data_dir: Path | None, home: Path, progress: OnProgress | None = None, sources: Mapping[str, Source] = SOURCES
) -> Path:
    """Return the directory of the two tables; they are made from the originals, which are fetched if missing."""
    searched = search_paths(NAME, data_dir, home)
    found = _holding(bandit_logs.TABLES, searched)
    if found is not None:
        return found
    own = home_path(NAME, home)
    originals = _holding(bandit_logs.ORIGINALS, searched)
    try:
        if originals is None:
            originals = own
            for name, source in sources.items():
                if not (own / name).is_file():  # what an earlier try has left
                    fetch(source, own / name, progress)
    except Unavailable as error:
        wanted = f"{' and '.join(bandit_logs.TABLES)}, or the directories bts and random of {ORIGIN},"
        raise missing(NAME, searched, error, wanted) from error
    bandit_logs.convert(originals, own, progress)
    return own


def _holding(names: Sequence[str], directories: Sequence[Path]) -> Path | None:
    return next((directory for directory in directories if all((directory / name).is_file() for name in names)), None)


def interactions(directory: Path, seed: int) -> Iterator[Shown | Answer]:
    """Yield impressions and clicks in order of time; the seed only names them. Raises InvalidInput for other tables."""
    events: list[Shown | Answer] = []
    texts = {(row["campaign"], row["item_id"]): _text(row) for row in read(directory / bandit_logs.ITEMS)}
    for row in read(directory / bandit_logs.IMPRESSIONS):
        key = (row["campaign"], row["item_id"])
        if key not in texts:
            raise InvalidInput(f"{directory} shows item {key[1]} of {key[0]}, which its items lack: replace the tables")
        shown = _shown(row, texts[key], seed)
        events.append(shown)
        if shown.action:
            events.append(Answer(shown.id, "click", shown.time_ms + CLICK_AFTER_MS, shown.subject))
    return iter(sorted(events, key=lambda event: event.time_ms))


def _shown(row: Mapping[str, Any], text: str, seed: int) -> Shown:
    visit = f"{row['policy']}-{row['campaign']}-{row['row']}"
    return Shown(
        id=f"{NAME}-{seed}-{visit}",
        time_ms=(row["timestamp"] - _EPOCH) // timedelta(milliseconds=1),
        subject=visit,  # users were taken out: each impression is a subject of its own
        query=" ".join(row[f"user_feature_{number}"][:_WORD] for number in range(4)),
        item=f"{row['campaign']}-{row['item_id']}",
        text=text,
        position=row["position"],
        propensity=row["propensity_score"],
        attributes={"campaign": row["campaign"], "policy": row["policy"]},
        action=Action.CLICK if row["click"] else Action.NONE,
    )


def _text(row: Mapping[str, Any]) -> str:
    features = (row[f"item_feature_{number}"][:_WORD] for number in (1, 2, 3))
    return " ".join((row["campaign"], str(row["item_id"]), *features))
