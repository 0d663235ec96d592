"""The example notebook: its cells run from top to bottom, and what its text says holds.

They run here in one namespace, without a kernel: the project does not install Jupyter for this.
"""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parent.parent / "docs" / "example.ipynb"
CELLS = json.loads(PATH.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def after(cache: Path) -> dict[str, Any]:
    """Return the names after the last cell, and all that was printed as `printed`."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for number, cell in enumerate(CODE, start=1):
            exec(compile(cell, f"{PATH.name}, cell {number}", "exec"), names)
    return names | {"printed": printed.getvalue()}


def test_no_cell_holds_an_output_that_could_go_stale():
    assert {cell["cell_type"] for cell in CELLS} == {"markdown", "code"}
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_sift_chooses_what_the_test_asks_about_and_leaves_less_open(after: dict[str, Any]):
    picks, chance, corpus = after["picks"], after["chance"], after["corpus"]
    assert (len(corpus), len(picks), len(chance)) == (120, 12, 12)
    sift, random = (sum(corpus[p.index].source == "distance" for p in c) for c in (picks, chance))
    assert corpus[picks[0].index].source == "distance"
    assert 12 > sift > random
    assert picks[-1].uncertainty < chance[-1].uncertainty
    assert 0.9 < after["proof"].share <= 1


def test_the_chart_is_a_picture_of_both_lines(after: dict[str, Any]):
    svg = after["chart"]._repr_svg_()
    assert svg.startswith("<svg")
    assert svg.count("<polyline") == 2


def test_its_completions_are_graded_as_the_text_says(after: dict[str, Any]):
    assert [verdict.correct for verdict in after["verdicts"]] == [True, True, False, False, True]
    assert after["verdicts"][3].status == "no_answer"
    assert "avg@5 0.60, pass@2 0.90" in after["printed"]
