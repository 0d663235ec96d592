"""What the report says of the verifier that graded a run, and of verdicts that moved."""

import html
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from unsealed import unseal

from ttc_eval.records import GradedBefore
from ttc_eval.report.material import read_material
from ttc_eval.report.run_page import write_page
from ttc_eval.report.sections.verdicts import moved
from ttc_rl.cli.app import app
from ttc_rl.run_dir import RunDir, write_jsonl
from ttc_rl.sampling.samples import numbered_rows
from ttc_rl.schema import UserError
from ttc_rl.stages.checks import check_files
from ttc_rl.verifiers import BUILT_IN

ARMS = {"base": {"sums": 0.1}, "sift": {"sums": 0.9}}
OLD = "math-00000000"


def report(run: RunDir) -> str:
    return html.unescape(write_page(read_material(run, run.load_recipe())).read_text())


def make_old(run: RunDir, model: str, *wrong: int) -> None:
    """Every verdict of another version; those at `wrong` turned round."""
    path = run.samples("sums", model)
    rows = [row | {"verifier": OLD} for _, row in numbered_rows(path)]
    for index in wrong:
        rows[index]["correct"] = not rows[index]["correct"]
    write_jsonl(path, rows)
    unseal(run.result("sums", model))


def test_a_run_of_the_installed_version_says_nothing(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    text = report(run)
    assert "is installed" not in text
    assert "graded again" not in text


def test_verdicts_of_another_version_are_named_with_a_command_that_works(
    make_run: Any, tmp_path: Path
):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    path = run.samples("sums", "sift")
    rows = [row for _, row in numbered_rows(path)]
    rows[0]["completion"] = '"verifier": "math-11111111" ' + rows[0]["completion"]
    write_jsonl(path, rows)
    make_old(run, "sift", 0, 1, 2)
    text = report(run)
    assert "base on sums" not in text
    (told,) = [line for line in text.splitlines() if f"verdicts are by {OLD}" in line]
    assert f"sift on sums: 48 verdicts are by {OLD}, and {BUILT_IN.version('math')} is" in told
    command = told.partition("run: ttc-rl ")[2].partition("</p>")[0]
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == 0, result.output

    text = report(run)
    assert "is installed" not in text
    assert "sift.rescored" not in text
    start = "sift on sums: 48 earlier verdicts (48 of them by another version of the"
    assert f"{start} verifier) were graded again, and " in text
    assert " were graded again, and 3 moved: " in text.partition(start)[2]


def test_the_directions_are_said():
    before = GradedBefore(verdicts=1200, by_another_verifier=900, moved=10)
    told = moved("sift on sums", before)
    assert told.endswith(
        "10 moved. The file does not say in which direction: run ttc-rl score again."
    )
    ways = replace(before, wrong_to_right=4, right_to_wrong=3, to_undecided=2, from_undecided=1)
    assert moved("sift on sums", ways) == (
        "sift on sums: 1,200 earlier verdicts (900 of them by another version of the verifier) "
        "were graded again, and 10 moved: 4 from wrong to right, 3 from right to wrong, "
        "2 to undecided, 1 from undecided to right or wrong."
    )
    assert moved("sift on sums", replace(before, moved=0)).endswith(
        "were graded again, and none moved."
    )


def test_a_run_whose_verifier_is_gone_still_reports_and_is_not_evaluated(
    make_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    text = run.recipe.read_text(encoding="utf-8")
    named = text.replace("verifiers: {}", "verifiers: {mine: 'gone:check'}")
    assert named != text
    run.recipe.write_text(named, encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for command in (["report", run.root], ["compare", run.root, run.root], ["config", run.recipe]):
        result = CliRunner().invoke(app, [str(word) for word in command])
        assert result.exit_code == 0, result.output
    with pytest.raises(UserError, match="verifiers: mine: there is no module gone"):
        check_files(run.load_recipe())
