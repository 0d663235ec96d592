"""The pages in a real browser: nothing fails, nothing runs over the edge, the filters filter."""

import html
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ttc_eval.compare.runs import compare
from ttc_eval.harness.results import read_tasks
from ttc_eval.report.compare_page import write_comparison
from ttc_eval.report.material import read_material
from ttc_eval.report.run_page import write_page
from ttc_rl.run_dir import RunDir, read_jsonl

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
    silent: [...document.querySelectorAll(".scroll")].filter(
      s => s.scrollWidth > s.clientWidth + 1 &&
        (s.tabIndex !== 0 || !getComputedStyle(s, "::before").content.includes("scrolls"))).length,
    hints: document.querySelectorAll(".scroll.more").length,
    requests: performance.getEntriesByType("resource").length,
  };
  const told = document.createElement("pre");
  told.id = "probe";
  told.textContent = JSON.stringify(found);
  document.body.append(told);
  if (parent !== self) parent.postMessage(told.textContent, "*");
});
</script></head>"""


FRAME = """
<script>addEventListener("message", event => {
  const told = document.createElement("pre");
  told.id = "probe";
  told.textContent = event.data;
  document.body.append(told);
});</script><body><iframe src="%s" style="width: %dpx; height: 900px; border: 0"></iframe>"""
"""A window as narrow as a phone's: the browser itself makes none below 500 pixels."""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here (looked for {', '.join(NAMES)})")
    return found


def look(
    browser: str,
    page: Path,
    folder: Path,
    width: int = 1100,
    probe: str = PROBE,
    address: str = "",
) -> dict[str, Any]:
    """What the page says of itself once it is loaded in a window of this width."""
    probed = folder / f"probed-{width}.html"
    probed.write_text(page.read_text(encoding="utf-8").replace("</head>", probe, 1))
    shown = probed
    if width < 500:
        shown = folder / f"frame-{width}.html"
        shown.write_text(FRAME % (probed.as_uri(), width))
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--virtual-time-budget=3000"]
    profile = f"--user-data-dir={folder / 'profile'}"
    done = subprocess.run(
        [*command, profile, f"--window-size={width},900", shown.as_uri() + address],
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


@pytest.mark.parametrize("width", [400, 620])
def test_on_a_narrow_screen_what_is_wider_says_that_it_scrolls(
    browser: str, make_run: Any, tmp_path: Path, width: int
):
    run = make_run(tmp_path / "r", "sums", 1, {"base": {"sums": 0.2}, "sift": {"sums": 0.8}})
    found = look(browser, write_page(read_material(run, run.load_recipe())), tmp_path, width)
    assert (found["failures"], found["overflow"], found["flat"]) == ([], 0, 0)
    assert found["silent"] == 0
    assert found["hints"] >= 2


ASK = """
<script>
addEventListener("load", () => {
  const told = document.createElement("pre");
  const set = (name, value, event) => {
    const field = document.querySelector(`.filters [name=${name}]`);
    field.value = value;
    field.dispatchEvent(new Event(event));
  };
  const shown = place =>
    [...document.querySelectorAll(place)].filter(e => e.offsetHeight > 0).map(e => e.id || e.value);
  const count = () => document.getElementById("count").textContent;
  told.id = "probe";
  told.textContent = JSON.stringify((() => { %s })());
  document.body.append(told);
});
</script></head>"""
"""The answer of a few lines of script, once the page is loaded."""


def test_the_search_finds_tasks_by_what_a_model_wrote(browser: str, make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, {"base": {"sums": 0.2}, "sift": {"sums": 0.8}})
    write_page(read_material(run, run.load_recipe()))
    tasks = [row["task_id"] for row in read_tasks(run.result("sums", "sift"))]
    fits = Counter(
        tasks.index(row["task_id"]) + 1
        for row in read_jsonl(run.samples("sums", "sift"))
        if row["correct"] is False and row["tokens"] >= 8 and "hmm" in row["completion"]
    )
    script = """
      const before = shown(".tasks li").length;
      set("model", "sift", "change"); set("shortest", "8", "input"); set("text", "HMM", "input");
      return [before, shown(".tasks li"), count(), location.hash,
              document.querySelector(".tasks li:not([hidden]) a").getAttribute("href")];"""
    before, found, count, state, link = look(
        browser, run.pages / "tasks.html", tmp_path, probe=ASK % script
    )
    assert fits
    assert (before, found) == (12, sorted(fits))
    assert count == f"{fits.total()} completions of {len(fits)} tasks"
    assert state == "#model=sift&shortest=8&text=HMM"
    assert link == f"task-{min(fits):04d}.html{state}"

    told = look(browser, run.pages / f"task-{min(fits):04d}.html", tmp_path,
                probe=ASK % "return [count(), shown('article').length]", address=state)  # fmt: skip
    assert told == [f"{fits[min(fits)]} shown", fits[min(fits)]]


def test_a_pick_shows_its_targets_and_a_target_its_picks(
    browser: str, undisturbed: Path, tmp_path: Path
):
    page = undisturbed / "pages" / "curriculum-sift.html"
    script = """
      const all = [shown("#picks li").length, shown("#targets li").length];
      const partners = id => document.getElementById(id).dataset.partners.split(" ");
      const choose = id => document.querySelector(`#${id} a.partners`).click();
      const pick = shown("#picks li")[0];
      choose(pick);
      const targets = [shown("#targets li"), partners(pick), shown("#picks li").length];
      document.getElementById("every").click();
      const again = [shown("#picks li").length, shown("#targets li").length];
      choose("target-2");
      return [all, targets, again, shown("#picks li"), partners("target-2"), count()];"""
    every, (targets, partners, picks), again, own, expected, told = look(
        browser, page, tmp_path, probe=ASK % script
    )
    assert every == again == [15, 12]
    assert (targets, picks) == (partners, 15)
    assert own == expected
    assert told == f"{len(expected)} picks, 12 targets shown; chosen: target 2"


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
