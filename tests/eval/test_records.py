"""What MODEL.json and summary.json hold: those of before there were versions still open."""

from pathlib import Path
from typing import Any

import pytest
from unsealed import unseal

from ttc_eval.compare.runs import compare
from ttc_eval.compare.summary import summary
from ttc_eval.records import VERSION, as_json, read_result, read_summary, write_record
from ttc_eval.report.material import read_material
from ttc_eval.report.run_page import write_page
from ttc_rl.run_dir import RunDir, read_json, write_json
from ttc_rl.schema import UserError

UNVERSIONED = Path(__file__).with_name("unversioned")
"""Files that `ttc-rl run tests/tiny.yaml` left before there were versions."""
ARMS = {"base": {"sums": 0.1}, "sift": {"sums": 0.9}, "random": {"sums": 0.4}}


def test_a_result_without_a_version_is_read_whole():
    path = UNVERSIONED / "sift.json"
    result = read_result(path)
    assert as_json(result) == read_json(path)
    assert (result.benchmark, result.model, result.avg_name) == ("count", "sift", "avg@4")
    assert result.metrics["avg@4"].value == pytest.approx(17 / 48)


def test_a_summary_without_a_version_is_read_whole():
    path = UNVERSIONED / "summary.json"
    whole = read_summary(path)
    assert as_json(whole) == read_json(path)
    assert whole.benchmarks[whole.target].models["sift"].metrics == (
        read_result(UNVERSIONED / "sift.json").metrics
    )


def test_what_is_written_has_a_version_and_is_read_as_it_was(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    whole = summary(run, run.load_recipe())
    write_record(run.summary, whole)
    assert next(iter(read_json(run.summary))) == "version"
    assert read_json(run.summary) == {"version": VERSION} | as_json(read_summary(run.summary))
    assert read_summary(run.summary).benchmarks["sums"].differences == (
        whole.benchmarks["sums"].differences
    )


def test_a_run_without_versions_reports_and_compares_as_one_with_them(
    make_run: Any, tmp_path: Path
):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    page, compared = written(run), compare([run])
    for model in ARMS:
        path = run.result("sums", model)
        unseal(path)
        held = read_json(path)
        assert held.pop("version") == VERSION
        write_json(path, held)
    assert (written(run), compare([run])) == (page, compared)


def written(run: RunDir) -> str:
    return write_page(read_material(run, run.load_recipe())).read_text(encoding="utf-8")


@pytest.mark.parametrize("version", [0, VERSION + 1, "1", None])
def test_another_version_is_one_line_that_says_what_to_do(tmp_path: Path, version: Any):
    for name, read in (("sift.json", read_result), ("summary.json", read_summary)):
        path = tmp_path / name
        write_json(path, {"version": version} | read_json(UNVERSIONED / name))
        with pytest.raises(UserError) as told:
            read(path)
        line = str(told.value)
        assert "\n" not in line
        assert line.startswith(f"{path}: has version {version!r}, this ttc-rl reads version 1; ")
        assert line.endswith("look in CHANGELOG.md for what changed")


def test_a_damaged_value_is_one_line_that_names_file_and_key(tmp_path: Path):
    held = read_json(UNVERSIONED / "sift.json")
    held["metrics"]["avg@4"]["value"] = "high"
    write_json(tmp_path / "sift.json", held)
    with pytest.raises(
        UserError, match=r"sift\.json: is damaged \(metrics\.avg@4\.value: "
    ) as told:
        read_result(tmp_path / "sift.json")
    assert "\n" not in str(told.value)
    del held["metrics"]
    write_json(tmp_path / "sift.json", held)
    with pytest.raises(UserError, match=r"sift\.json: is damaged \(metrics: "):
        read_result(tmp_path / "sift.json")
