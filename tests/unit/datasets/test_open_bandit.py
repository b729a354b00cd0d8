"""Where the recommendations are looked for, and how a row of their logs becomes an impression and a click."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from datasets import bandit_logs, open_bandit
from datasets.dataset import Dataset
from datasets.download import Source
from datasets.interaction import Answer, Shown
from importance.errors import InvalidInput, NotFound
from importance.events import Impression, decode
from importance.sample import Action
from tests.unit.datasets import originals
from tests.unit.datasets.server import serving

LOG = ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,user_feature_3"
LOG += ",user-item_affinity_0,user-item_affinity_1\n"
USER = "cef3390ed299c09874189c387777674a,2d03db5543b14483e52d761760686b64,c2e4f76cdbabec,c39b0c7dd5d4eb"
ITEMS = """,item_id,item_feature_0,item_feature_1,item_feature_2,item_feature_3
0,0,-0.6771831139635117,ceca20033d7d36b74d,eb6f942c01859574cb,795091554fd8f6b4a0
1,1,-0.7202996418188664,270de57201b8ec18df,eb6f942c01859574cb,795091554fd8f6b4a0
"""
FILES = {
    "bts/men/men.csv": f"{LOG}0,2019-11-24 00:01:03.979311+00:00,1,2,0,0.045525,{USER},0.0,1.0\n"
    f"1,2019-11-25 00:00:01.500000+00:00,0,3,1,0.25,{USER},0.0,0.0\n",
    "bts/women/women.csv": f"{LOG}0,2019-11-25 00:00:03+00:00,1,1,0,1.0,{USER},0.0,0.0\n",
    "random/men/men.csv": f"{LOG}0,2019-11-25 00:00:00.000999+00:00,1,1,0,0.5,{USER},0.0,0.0\n",
    "random/women/women.csv": f"{LOG}0,2019-11-24 00:00:00+00:00,0,1,1,0.5,{USER},0.0,0.0\n",
    "random/men/item_context.csv": ITEMS,
    "random/women/item_context.csv": ITEMS,
}
DAY_MS = open_bandit.STREAM_START_MS


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data in the usual directories."""
    folder = tmp_path / "somewhere" / "checkout"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)


def written(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    """The originals in a folder of data sets."""
    for name, content in files.items():
        originals.write(folder / open_bandit.NAME / name, content.encode())
    return folder


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    return open_bandit.locate(written(tmp_path / "mine"), tmp_path / "home")


@contextmanager
def served(*plan: int | str) -> Iterator[dict[str, Source]]:
    """A server for each of the originals; the first one fails as told."""
    with ExitStack() as stack:
        plans = dict.fromkeys(FILES, ()) | {"bts/men/men.csv": plan}
        yield {
            name: originals.source(stack.enter_context(serving(text.encode(), *plans[name])).url, text.encode())
            for name, text in FILES.items()
        }


def test_a_row_becomes_an_impression_and_its_click_an_answer(tables: Path) -> None:
    events = list(open_bandit.interactions(tables, seed=7))
    clicked = next(event for event in events if event.time_ms == DAY_MS + 1_500)
    assert clicked == Shown(
        id="open_bandit-7-bts-men-1",
        time_ms=DAY_MS + 1_500,
        subject="bts-men-1",
        query="cef3 2d03 c2e4 c39b",
        item="men-0",
        text="men 0 ceca eb6f 7950",
        position=3,
        propensity=0.25,
        attributes={"campaign": "men", "policy": "bts"},
        action=Action.CLICK,
    )
    assert [event for event in events if isinstance(event, Answer)][1] == Answer(
        clicked.id, "click", clicked.time_ms + 3_000, clicked.subject
    )


def test_all_logs_together_come_in_order_of_time_with_the_clicks_between(tables: Path) -> None:
    events = list(open_bandit.interactions(tables, seed=0))
    assert [(event.time_ms - DAY_MS, type(event).__name__) for event in events] == [
        (-86_400_000, "Shown"),
        (-86_397_000, "Answer"),
        (-86_336_021, "Shown"),
        (0, "Shown"),  # less than a millisecond of the day has passed
        (1_500, "Shown"),
        (3_000, "Shown"),
        (4_500, "Answer"),
    ]


def test_position_and_propensity_travel_in_the_event_and_in_history(tables: Path) -> None:
    data = Dataset("x", "about", DAY_MS, lambda: open_bandit.interactions(tables, 0))
    decoded = [decode(record.value, record.time_ms) for record in data.events()]
    shown = [(event.position, event.propensity) for event in decoded if isinstance(event, Impression)]
    assert shown == [(1, 0.5), (3, 0.25), (1, 1.0)]
    assert [(sample.position, sample.propensity) for sample in data.history()] == [(1, 0.5), (2, 0.045525)]
    assert [sample.actions for sample in data.history()] == [Action.CLICK, Action.NONE]
    assert json.loads(list(data.events())[-1].value or b"")["type"] == "click"


def test_originals_put_into_the_folder_are_converted_once(tmp_path: Path) -> None:
    mine = written(tmp_path / "mine")
    folder = open_bandit.locate(mine, tmp_path / "home")
    assert folder == tmp_path / "home" / "data" / "open_bandit"
    (mine / "open_bandit" / "bts/men/men.csv").unlink()
    assert open_bandit.locate(mine, tmp_path / "home") == folder


def test_a_download_becomes_tables_and_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    told: list[str] = []
    with served("cut") as sources:
        broken = sources | {"random/men/men.csv": sources["random/men/men.csv"]._replace(sha256="0" * 64)}
        with pytest.raises(NotFound, match="gave a file of sha256"):
            open_bandit.locate(None, tmp_path / "home", sources=broken)
        folder = open_bandit.locate(None, tmp_path / "home", lambda what, *_: told.append(what), sources)
    assert len(list(open_bandit.interactions(folder, 0))) == 7
    assert set(told) == {"downloading", "converting"}
    assert open_bandit.locate(None, tmp_path / "home") == folder


def test_without_data_and_network_one_line_names_the_places_and_the_setting(tmp_path: Path) -> None:
    with served(404) as sources, pytest.raises(NotFound) as caught:
        open_bandit.locate(tmp_path / "mine", tmp_path / "home", sources=sources)
    text = str(caught.value)
    assert "\n" not in text
    for part in (str(tmp_path / "mine"), str(tmp_path / "home"), "404", "WEIR_DATA_DIR", "simulation", "impressions"):
        assert part in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("bts/men/men.csv", "", id="an empty log"),
        pytest.param("bts/men/men.csv", LOG.replace("click", "clock"), id="another column"),
        pytest.param("bts/men/men.csv", FILES["bts/men/men.csv"].replace(",0.25,", ",often,"), id="a chance in words"),
        pytest.param("bts/men/men.csv", FILES["bts/men/men.csv"].replace(",0.25,", ",,"), id="no propensity"),
        pytest.param("random/men/item_context.csv", "no,items\n1,2\n", id="no items"),
    ],
)
def test_another_log_is_refused_in_one_line(tmp_path: Path, name: str, content: str) -> None:
    mine = written(tmp_path / "mine", {**FILES, name: content})
    said = rf"^.*{name} cannot be read as a log of Open Bandit \(.*\): replace or remove it$"
    with pytest.raises(InvalidInput, match=said) as caught:
        open_bandit.locate(mine, tmp_path / "home")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda table: table.write_bytes(b"no table"), id="no table"),
        pytest.param(lambda table: parquet.write_table(pa.table({"row": [1]}), table), id="other columns"),
        pytest.param(lambda table: (table.unlink(), table.mkdir()), id="a folder"),
    ],
)
@pytest.mark.parametrize("name", bandit_logs.TABLES)
def test_a_table_that_cannot_be_read_is_refused_in_one_line(
    tables: Path, damage: Callable[[Path], object], name: str
) -> None:
    damage(tables / name)
    with pytest.raises(InvalidInput, match=rf"^.*{name} cannot be read as a log of Open Bandit") as caught:
        list(open_bandit.interactions(tables, 0))
    assert "\n" not in str(caught.value)


def test_an_item_that_is_in_no_catalogue_is_refused(tmp_path: Path) -> None:
    files = {**FILES, "random/men/item_context.csv": ITEMS[: ITEMS.rindex("1,1,")]}
    folder = open_bandit.locate(written(tmp_path / "mine", files), tmp_path / "home")
    with pytest.raises(InvalidInput, match=r"shows item 1 of men, which its items lack: replace the tables$"):
        open_bandit.interactions(folder, 0)


def test_the_sources_are_the_original_ones() -> None:
    assert tuple(open_bandit.SOURCES) == bandit_logs.ORIGINALS
    for name, source in open_bandit.SOURCES.items():
        assert source.url.startswith("https://raw.githubusercontent.com/st-tech/zr-obp/")
        assert source.url.endswith(name)
        assert len(source.sha256) == 64
