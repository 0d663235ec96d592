"""The pages beside a report: one a task, one that finds them, one a curriculum."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from unsealed import unseal

from ttc_eval.report import task_pages
from ttc_eval.report.curriculum_pages import together
from ttc_eval.report.material import read_material
from ttc_eval.report.run_page import write_page
from ttc_rl.run_dir import RunDir, write_json, write_jsonl
from ttc_rl.sampling.samples import RowsByTask, numbered_rows

ARMS = {"base": {"sums": 0.1}, "sift": {"sums": 0.9}}


@pytest.fixture
def run(make_run: Any, tmp_path: Path) -> RunDir:
    return make_run(tmp_path / "r", "sums", 1, ARMS)


def write(run: RunDir) -> str:
    path = write_page(read_material(run, run.load_recipe()))
    return path.read_text(encoding="utf-8")


def written_by(run: RunDir, model: str) -> list[dict[str, Any]]:
    return [row for _, row in numbered_rows(run.samples("sums", model))]


def articles(text: str) -> list[tuple[str, str, str]]:
    """Model, verdict and completion of each article of a page."""
    pattern = r'<article [^>]*data-model="(.*?)" data-verdict="(.*?)".*?<pre>(.*?)</pre></article>'
    return [
        (model, verdict, html.unescape(written))
        for model, verdict, written in re.findall(pattern, text, re.DOTALL)
    ]


def test_a_page_of_a_task_has_all_that_every_model_wrote(run: RunDir):
    write(run)
    for number in (1, 7, 12):
        text = (run.pages / f"task-{number:04d}.html").read_text(encoding="utf-8")
        task = read_material(run, run.load_recipe()).on_target["base"].tasks[number - 1]
        expected = [
            (model, row["completion"])
            for model in ("base", "sift")
            for row in written_by(run, model)
            if row["task_id"] == task["task_id"]
        ]
        assert len(expected) == 8
        assert sorted((model, text) for model, _, text in articles(text)) == sorted(expected)
        assert html.escape(task["prompt"]) in text


def test_a_long_completion_is_whole_on_its_page_and_is_text(run: RunDir):
    path = run.samples("sums", "sift")
    rows = written_by(run, "sift")
    rows[0]["completion"] = "</pre></script><script>alert(1)</script>" + "x" * 9000
    write_jsonl(path, rows)
    unseal(run.result("sums", "sift"))
    write(run)
    pages = {p.name: p.read_text(encoding="utf-8") for p in run.pages.glob("*.html")}
    assert rows[0]["completion"] in [w for text in pages.values() for *_, w in articles(text)]
    assert not [name for name, text in pages.items() if "<script>alert" in text]


def test_every_link_leads_to_a_page(run: RunDir):
    report = write(run)
    assert len(set(re.findall(r'href="(pages/task-\d+.html)"', report))) == 12
    for folder, text in [
        (run.root, report),
        *((run.pages, path.read_text(encoding="utf-8")) for path in run.pages.glob("*.html")),
    ]:
        for address in re.findall(r'href="([^"#]+)', text):
            assert (folder / address).is_file(), address


def search_data(run: RunDir) -> dict[str, Any]:
    text = (run.pages / "tasks.html").read_text(encoding="utf-8")
    return json.loads(re.findall(r'id="samples">(.*?)</script>', text, re.DOTALL)[0])


def test_the_search_holds_every_completion_with_its_model_verdict_and_answer(run: RunDir):
    write(run)
    held = search_data(run)
    ids = [row["task_id"] for row in read_material(run, run.load_recipe()).on_target["base"].tasks]
    found = sorted(
        (ids[task], held["models"][model], tokens, text)
        for task, model, _, tokens, text in held["rows"]
    )
    assert found == sorted(
        (row["task_id"], model, row["tokens"], f"{row['answer'] or ''}\n{row['completion']}")
        for model in ARMS
        for row in written_by(run, model)
    )
    assert held["tasks"][0].endswith("\n10")


def test_what_a_large_search_leaves_out_is_said(run: RunDir, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(task_pages, "SEARCHED", 96 * 5)
    write(run)
    text = (run.pages / "tasks.html").read_text(encoding="utf-8")
    assert "Of a completion it reads the last 5 characters." in text
    ends = [row[-1].partition("\n")[2] for row in search_data(run)["rows"]]
    assert max(map(len, ends)) == 5
    assert "{10}" in "".join(ends)


def test_pages_of_an_earlier_report_do_not_stay(run: RunDir):
    write(run)
    (run.pages / "task-0099.html").write_text("of another evaluation")
    write(run)
    assert not (run.pages / "task-0099.html").exists()


def test_a_sample_file_that_is_not_here_is_said(run: RunDir):
    run.samples("sums", "sift").unlink()
    unseal(run.result("sums", "sift"))
    write(run)
    text = (run.pages / "task-0001.html").read_text(encoding="utf-8")
    assert "No sample file here of sift." in text
    assert {model for model, *_ in articles(text)} == {"base"}


def test_rows_of_a_task_are_those_of_the_file(tmp_path: Path):
    path = tmp_path / "samples.jsonl"
    order = [("b", 1), ("a", 0), ("b", 0), ("ä", 0), ("b", 0)]
    write_jsonl(
        path, [{"task_id": task, "sample": n, "at": i} for i, (task, n) in enumerate(order)]
    )
    with path.open("ab") as file:
        file.write(b'{"task_id": "a", "sample": 1, "cut": ')
    samples = RowsByTask(path)
    found = {task: [row["at"] for row in samples.rows(task)] for task in ("a", "b", "ä", "none")}
    assert found == {"a": [1], "b": [2, 0], "ä": [3], "none": []}
    assert (len(samples), len(RowsByTask(tmp_path / "none.jsonl"))) == (4, 0)


# --------------------------------------------------------------------------- curricula

PICKS = [{"nearest_target": nearest} for nearest in (2, 0, 2, -1)]
NEAREST = [1, 3, 1]
"""Of each of three targets the nearest pick. No pick has the target of place 1 as its nearest."""


def test_a_pick_and_a_target_belong_together_where_either_is_the_others_nearest():
    rows = [{"cosine": {"rank": rank}} for rank in NEAREST]
    by_hand = [
        (pick, target)
        for pick in range(4)
        for target in range(3)
        if PICKS[pick]["nearest_target"] == target or NEAREST[target] == pick
    ]
    assert together(PICKS, 3, rows) == by_hand
    assert together(PICKS, 3, [{}, {"cosine": {"rank": None}}, {}]) == [(0, 2), (1, 0), (2, 2)]


def curriculum(run: RunDir) -> None:
    """Write by hand what a selection leaves: four picks, three targets, two of them evaluated."""
    tasks = read_material(run, run.load_recipe()).on_target["base"].tasks
    arm = run.arm("sift", run.load_recipe())
    task = {"source": "skills", "meta": {}}
    write_jsonl(
        arm.curriculum,
        [
            {"rank": i, "gain": 0.5, "similarity": 0.75, "uncertainty": 1.0, "task_id": f"c{i}"}
            | {"task": task | {"prompt": f"pick <{i}>"}}
            | pick
            for i, pick in enumerate(PICKS)
        ],
    )
    targets = [
        {"task_id": task_id, "prompt": f"target <{i}>"}
        | {"uncertainty": {"start": 1.0, "after": 0.25, "floor": 0.1}}
        for i, task_id in enumerate([tasks[4]["task_id"], "elsewhere", tasks[0]["task_id"]])
    ]
    measure = {"max": 1, "median": 1, "threshold": 1, "targets_above": 0, "same_answer": 0}
    certificate = {"pairs_compared": 12, "targets": 3, "targets_above_any": 0}
    write_json(
        arm.selection,
        {"targets": targets, "uncertainty": {"start": 3.0, "after": 1.0, "floor": 0.5}}
        | {"contamination": certificate | {"measures": {"cosine": measure}}},
    )
    row = {"prompt": "p", "above": [], "span": {"value": 1, "text": "t", "rank": 0}}
    write_jsonl(
        arm.contamination, [row | {"cosine": {"value": 0.5, "rank": rank}} for rank in NEAREST]
    )


def test_a_page_of_a_curriculum_leads_from_picks_to_targets_and_to_completions(run: RunDir):
    curriculum(run)
    report = write(run)
    assert 'href="pages/curriculum-sift.html"' in report
    text = (run.pages / "curriculum-sift.html").read_text(encoding="utf-8")
    items = dict(re.findall(r'<li [^>]*id="(\S+)" data-partners="([\w\- ]*)"', text))
    assert items == {
        "pick-1": "target-3",
        "pick-2": "target-1 target-3",
        "pick-3": "target-3",
        "pick-4": "target-2",
        "target-1": "pick-2",
        "target-2": "pick-4",
        "target-3": "pick-1 pick-2 pick-3",
    }
    assert "pick &lt;0&gt;" in text
    assert "25% of its variance left" in text
    lines = re.findall(r'<li [^>]*id="target-\d".*?</li>', text, re.DOTALL)
    pages = [re.findall(r"task-\d+\.html", line) for line in lines]
    assert pages == [["task-0005.html"], [], ["task-0001.html"]]
