"""The pages in a real browser: nothing fails, nothing runs over the edge, the filters filter."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ttc_eval.compare.runs import compare
from ttc_eval.report.compare_page import write_comparison
from ttc_rl.run_dir import RunDir

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PROBE = """
<script>
const failures = [];
window.addEventListener("error", e => failures.push(e.message));
window.addEventListener("load", () => {
  const visible = () => [...document.querySelectorAll("article")].filter(a => a.offsetHeight > 0);
  const choose = (name, value) => {
    const select = document.querySelector(`select[name=${name}]`);
    select.value = value;
    select.dispatchEvent(new Event("change"));
  };
  const filters = {};
  for (const select of document.querySelectorAll(".filters select")) {
    for (const option of [...select.options].map(o => o.value).filter(v => v)) {
      choose(select.name, option);
      filters[`${select.name}=${option}`] = [
        visible().every(a => a.dataset[select.name] === option),
        visible().length,
        document.querySelectorAll(`article[data-${select.name}="${option}"]`).length,
        document.getElementById("count").textContent,
      ];
    }
    choose(select.name, "");
  }
  const svgs = [...document.querySelectorAll("svg")].filter(s => s.closest("details") === null);
  const texts = svgs.flatMap(s => [...s.querySelectorAll("text")].map(t => [t, s]));
  const out = texts.filter(([t, s]) => {
    const a = t.getBoundingClientRect(), b = s.getBoundingClientRect();
    return a.right > innerWidth || a.left < 0 || a.bottom > b.bottom + 2;
  });
  const found = {
    failures, filters,
    articles: visible().length,
    sections: [...document.querySelectorAll("section h2")].map(h => h.textContent),
    broken: [...document.querySelectorAll("nav a")].filter(
      a => document.querySelector(a.getAttribute("href")) === null).length,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    flat: svgs.filter(s => s.getBoundingClientRect().height < 20).length,
    charts: svgs.length,
    outside: out.map(([t]) => t.textContent),
    bands: document.querySelectorAll("svg path.band").length,
    heat: document.querySelectorAll("svg rect.heat").length,
    requests: performance.getEntriesByType("resource").length,
  };
  const told = document.createElement("pre");
  told.id = "probe";
  told.textContent = JSON.stringify(found);
  document.body.append(told);
});
</script></head>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here (looked for {', '.join(NAMES)})")
    return found


def look(browser: str, page: Path, folder: Path, width: int = 1100) -> dict[str, Any]:
    """What the page says of itself once it is loaded in a window of this width."""
    probed = folder / f"probed-{width}.html"
    probed.write_text(page.read_text(encoding="utf-8").replace("</head>", PROBE, 1))
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    profile = f"--user-data-dir={folder / 'profile'}"
    done = subprocess.run(
        [*command, profile, f"--window-size={width},900", probed.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    told = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stdout[-500:] + done.stderr[-500:]
    return json.loads(html.unescape(told[1]))


def check(found: dict[str, Any]) -> None:
    assert found["failures"] == []
    assert found["requests"] == 0
    assert (found["overflow"], found["flat"], found["broken"]) == (0, 0, 0)
    assert found["outside"] == []


def test_a_report_can_be_shown_in_a_meeting(browser: str, undisturbed: Path, tmp_path: Path):
    found = look(browser, undisturbed / "report.html", tmp_path)
    check(found)
    assert {"Results", "Task by task", "Training", "Completions"} <= set(found["sections"])
    assert found["charts"] >= 5
    assert found["bands"] == 3
    assert found["articles"] > 10
    assert {"verdict=correct", "verdict=wrong", "model=base", "model=sift"} <= set(found["filters"])
    for pure, visible, expected, told in found["filters"].values():
        assert pure
        assert visible == expected
        assert told == f"{visible} shown"
    assert found["filters"]["verdict=correct"][1] > 0


def test_a_report_is_read_on_a_narrow_screen_too(browser: str, undisturbed: Path, tmp_path: Path):
    found = look(browser, undisturbed / "report.html", tmp_path, width=620)
    assert (found["failures"], found["overflow"], found["flat"]) == ([], 0, 0)


def test_a_comparison_shows_its_heat_map(browser: str, make_run: Any, tmp_path: Path):
    runs = [
        make_run(
            tmp_path / f"{target}-{seed}",
            target,
            seed,
            {"base": dict.fromkeys(SKILL, 0.2), "sift": {**SKILL, target: 0.9}},
        )
        for target in ("sums", "twos")
        for seed in (0, 1)
    ]
    found = compare([RunDir(run.root) for run in runs])
    write_comparison(found, tmp_path / "compare.html")
    told = look(browser, tmp_path / "compare.html", tmp_path)
    check(told)
    assert told["heat"] == 6  # two targets, three benchmarks, one arm besides the base
    assert told["sections"][:2] == ["How the recipes differ", "Differences"]


SKILL = {"sums": 0.3, "twos": 0.3, "tens": 0.2}
