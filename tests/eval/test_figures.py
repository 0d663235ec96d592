"""Figures for papers: every chart of a page as SVG and PDF, with its text and its colours."""

import builtins
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ttc_eval.report import charts, page
from ttc_eval.report.figures import figures, write_figures
from ttc_eval.report.material import read_material
from ttc_eval.report.run_page import write_page
from ttc_rl.metrics import Estimate
from ttc_rl.schema import UserError

ARMS = {"base": {"sums": 0.1}, "sift": {"sums": 0.9}}


@pytest.fixture
def report(make_run: Any, tmp_path: Path) -> Path:
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    return write_page(read_material(run, run.load_recipe()))


def test_every_chart_of_the_page_is_a_file(report: Path, tmp_path: Path):
    paths = write_figures(report, tmp_path / "figures")
    assert len(paths) == 2 * report.read_text(encoding="utf-8").count("<svg")
    assert {path.suffix for path in paths} == {".svg", ".pdf"}
    assert (tmp_path / "figures" / "results-avg-4-by-model.svg") in paths


def test_an_svg_needs_nothing_of_the_page(report: Path):
    for figure in figures(report.read_text(encoding="utf-8")):
        root = ElementTree.fromstring(figure.svg)
        style = root.findtext("{http://www.w3.org/2000/svg}style") or ""
        assert "var(" not in style
        assert "light-dark" not in style
        assert 'href="' not in figure.svg
        classes = {name for e in root.iter() for name in e.get("class", "").split()}
        assert classes
        for name in classes - {"tick", "label", "wide"}:
            assert re.search(rf"\.{name}\b", style), name


def test_a_pdf_holds_the_text_as_text_and_the_colours(report: Path, tmp_path: Path):
    pdfium = pytest.importorskip("pypdfium2")
    write_figures(report, tmp_path)
    drawn = pdfium.PdfDocument(tmp_path / "tasks-base-and-sift-by-task.pdf")[0]
    text = drawn.get_textpage().get_text_range()
    for label in ("base (m)", "sift", "solved, %", "tasks, by change", "100"):
        assert label in text
    colours = {colour for _, colour in drawn.render().to_pil().convert("RGB").getcolors(10**6)}
    assert {(0x1F, 0x5F, 0xC4), (0x7D, 0x80, 0x88)} <= colours
    assert b"Vera" in (tmp_path / "tasks-base-and-sift-by-task.pdf").read_bytes()


def test_lines_without_a_legend_on_the_page_get_one_and_names_are_not_repeated():
    series = [charts.Series(n, page.css_class(n), [(0.0, 1.0), (1.0, 2.0)]) for n in ("a b", "c")]
    chart = charts.line_chart(series, title="t", x_label="x", y_label="y")
    rows = [("base", "base", Estimate(0.5, 0.4, 0.6))]
    forest = charts.interval_chart(rows, title="t", x_label="x")
    both = page.figure(chart, "") + page.figure(forest, "")
    html = page.page("t", "h", "l", [("one", "One", both)])
    lines, dots = figures(html)
    assert (lines.name, dots.name) == ("one-t", "one-t-2")
    assert lines.svg.count(">a b</text>") == lines.svg.count(">c</text>") == 1
    assert re.search(r"\.arm-a-b \{ color: #\w{6}; \}", lines.svg)
    assert dots.svg.count(">base</text>") == 1


def test_without_the_library_one_line_says_how_to_get_it(
    report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("svglib"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"--figures: PDFs need svglib: pip install .*\[figures\]"):
        write_figures(report, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()
