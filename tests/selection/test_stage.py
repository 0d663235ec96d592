"""`ttc-rl select` as a user runs it: every method, several targets, explained, killed, resumed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.selection import METHODS

NEEDS_THE_MODEL = {"difficulty", "band", "less"}  # tests/stages/test_inputs.py
RECIPE = """
model: m
corpus:
  - skills: {split: train, tasks_per_family: 30, families: [count, sort, reverse]}
target: {skills: {split: test, tasks_per_family: 5, families: [count]}}
selection: {size: 12}
"""


def ttc_rl(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ttc_rl", *arguments],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def recipe(folder: Path, extra: str = "") -> str:
    path = folder / "r.yaml"
    path.write_text(RECIPE + extra)
    return str(path)


def test_every_method_leaves_a_curriculum_that_explains_itself(cache, tmp_path: Path):
    methods = [method for method in METHODS if method not in NEEDS_THE_MODEL]
    arms = "".join(f"  {m}: {{selection: {{method: {m}}}}}\n" for m in methods)
    arms += "  mean: {selection: {objective: mean}}\n"
    arms += "  worst: {selection: {objective: max}}\n"
    arms += "  again: {selection: {repeat: true, size: 30}}\n"
    arms += "  short: {selection: {stop: {remaining: 0.9}}}\n"
    root = tmp_path / "run"
    out = ttc_rl("select", recipe(tmp_path, "arms:\n" + arms), "--run-dir", str(root), "--explain")
    assert "What this corpus can teach of the targets" in out
    run = RunDir(root)
    folders = {arm: run.arm(arm, run.load_recipe()) for arm in run.load_recipe().arm_names}
    rows = {arm: list(read_jsonl(folder.curriculum)) for arm, folder in folders.items()}
    assert {arm: len(found) for arm, found in rows.items()} == dict.fromkeys(methods, 12) | {
        "mean": 12, "worst": 12, "again": 30, "short": 8
    }  # fmt: skip
    for arm, folder in folders.items():
        selection = read_json(folder.selection)
        assert 0 < selection["certificate"]["share"] <= 1, arm
        left = [row["uncertainty"] for row in rows[arm]]
        assert np.all(np.diff(left) <= 1e-12), arm
        assert left[-1] == pytest.approx(selection["uncertainty"]["after"])
        assert left[-1] >= selection["certificate"]["lower_bound"] - 1e-9
        assert not folder.unfinished.exists()
    del rows["mean"]
    assert min(rows, key=lambda arm: rows[arm][7]["uncertainty"]) in ("sift", "short", "again")
    page = run.report.read_text()
    assert "Dashed: with all of the corpus." in page
    assert "certified to remove at least" in page


def test_a_sweep_of_targets_ends_in_one_page_of_tables(cache, tmp_path: Path):
    extra = "sweep:\n  target: [skills/count, skills/sort]\n"
    root = tmp_path / "run"
    ttc_rl("select", recipe(tmp_path, extra), "--run-dir", str(root))
    tables = (root / "selections.md").read_text()
    assert "| skills/count |" in tables
    assert "| skills/sort |" in tables
    assert "Corpus tasks removed before selection" in tables
    again = ttc_rl("select", recipe(tmp_path, extra), "--run-dir", str(root), "--resume")
    assert again.count("curriculum: there already") == 2
    assert (root / "selections.md").read_text() == tables


def test_a_selection_goes_on_from_what_was_noted(cache, tmp_path: Path):
    """As a kill leaves it: the note there, the curriculum not."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    asked = recipe(tmp_path)
    ttc_rl("select", asked, "--run-dir", str(whole))
    ttc_rl("select", asked, "--run-dir", str(cut))
    picks = [row["index"] for row in read_jsonl(cut / "curriculum.jsonl")]
    for name in ("curriculum.jsonl", "selection.json", "selection.md"):
        (cut / name).unlink()
    code = (
        "import sys; from ttc_rl.selection import unfinished; from ttc_rl.cli.app import main\n"
        "unfinished.SECONDS = 0.0\n"
        "note = unfinished.write_json\n"
        "def die(path, value):\n"
        "    note(path, value)\n"
        "    if len(value['picks']) == 5: raise SystemExit(9)\n"
        "unfinished.write_json = die\n"
        f"sys.argv = ['ttc-rl', 'select', {asked!r}, '--run-dir', {str(cut)!r}, '--resume']\n"
        "main()"
    )
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert died.returncode == 9
    assert read_json(cut / "selection.unfinished.json")["picks"] == picks[:5]
    assert "goes on after 5 tasks" in ttc_rl("select", asked, "--run-dir", str(cut), "--resume")
    assert (cut / "curriculum.jsonl").read_text() == (whole / "curriculum.jsonl").read_text()


def test_targets_of_unequal_size_share_a_curriculum(cache, tmp_path: Path):
    """The larger set does not drown the other; what each counts for moves picks to it."""
    two = RECIPE.replace(
        "target: {skills: {split: test, tasks_per_family: 5, families: [count]}}",
        "target: [skills/count, skills/sort@4]",
    )
    path = tmp_path / "two.yaml"
    arms = "arms:\n  even: {}\n  tilted: {selection: {shares: {skills/count: 20}}}\n"
    path.write_text(two + arms)
    root = tmp_path / "run"
    ttc_rl("select", str(path), "--run-dir", str(root))
    run = RunDir(root)
    found: dict[str, list[str]] = {}
    for arm in ("even", "tilted"):
        folder = run.arm(arm, run.load_recipe())
        assert len(read_json(folder.selection)["targets"]) > 4 * 4
        found[arm] = [row["task"]["meta"]["family"] for row in read_jsonl(folder.curriculum)]
    assert min(found["even"].count("count"), found["even"].count("sort")) >= 4
    assert found["tilted"].count("count") > found["even"].count("count")


def test_shares_of_the_worst_target_are_refused_not_ignored(cache, tmp_path: Path):
    path = tmp_path / "r.yaml"
    target = "target: [skills/count, skills/sort@4]\nselection: {objective: max, size: 5, shares: "
    path.write_text(RECIPE[: RECIPE.index("target:")] + target + "{skills/count: 2}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "ttc_rl", "select", str(path), "--run-dir", str(tmp_path / "run")],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "weights count in the sum and the mean" in done.stderr
