from pathlib import Path

from experiments.page import Heading, Plot, Table, Text, html, save

BLOCKS = [Heading("A <b>"), Text("1 < 2"), Table(("x",), [("&",)]), Plot("curve", "a curve", b"\x89PNG")]


def test_a_page_needs_nothing_beside_it_and_escapes_what_it_shows() -> None:
    page = html("T", BLOCKS)
    assert "<script" not in page
    assert "http" not in page
    assert "A &lt;b&gt;" in page
    assert "<td>&amp;</td>" in page
    assert 'src="data:image/png;base64,' in page


def test_a_report_is_saved_as_page_text_and_pictures(tmp_path: Path) -> None:
    save("T", BLOCKS, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["curve.png", "report.html", "report.md"]
    assert "![a curve](curve.png)" in (tmp_path / "report.md").read_text()
