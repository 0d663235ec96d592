"""Real records through real stages. Skipped where no task data is found."""

import subprocess
import sys
from pathlib import Path

from ttc_rl.run_dir import read_json, read_jsonl


def ttc_rl(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ttc_rl", *arguments],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_stage_on_real_records_ends_saying_that_nothing_was_solved(
    data: Path, cache: Path, tmp_path: Path
):
    run, file = tmp_path / "run", data / "corpus" / "aime_1983_2021.jsonl.gz"
    corpus = f"corpus={{path: {file}, limit: 100}}"  # embedding all 915 takes a minute
    ttc_rl("run", "recipes/tiny/real-records.yaml", "--run-dir", str(run), f"data={data}", corpus)
    assert "Nothing was solved" in (run / "report.html").read_text()
    assert read_json(run / "eval" / "aime25" / "sift.json")["metrics"]["pass@2"]["value"] == 0
    assert len(list(read_jsonl(run / "curriculum.jsonl"))) == 16
    assert "First picks nearest to each target" in (run / "selection.md").read_text()
