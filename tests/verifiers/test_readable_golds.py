"""A corpus whose answers are whole solutions stops the run before anything is computed."""

from pathlib import Path

import pytest

from ttc_rl.config import load_recipe
from ttc_rl.run_dir import RunDir
from ttc_rl.schema import Task, UserError
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import select
from ttc_rl.verifiers.golds import check_readable


def tasks(unreadable: int, total: int = 100) -> list[Task]:
    prose = "She sold 3 and then bought 4 more, so in the end she has 7 of them. #### 7"
    golds = [prose] * unreadable + [str(n) for n in range(total - unreadable)]
    return [Task("math", f"task {i}", gold, source="mine") for i, gold in enumerate(golds)]


def test_few_sentences_pass_and_many_do_not():
    check_readable(tasks(5), 0.05)
    check_readable(tasks(100), 1)
    with pytest.raises(UserError, match=r'^mine: 6 of 100 golds .*gold_after: "####"'):
        check_readable(tasks(6), 0.05)


def test_a_large_source_is_sampled_over_its_whole_length():
    late = [*tasks(0, 900), *tasks(100)]
    with pytest.raises(UserError, match="mine: 20 of 200 golds"):
        check_readable(late, 0.05)


def test_a_selection_stops_and_the_named_key_mends_it(tmp_path: Path):
    rows = '{"kind": "math", "prompt": "%d and 1?", "answer": "It is %d. #### %d"}\n'
    (tmp_path / "c.jsonl").write_text("".join(rows % (i, i, i) for i in range(30)), "utf-8")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"model: m\ntarget: {tmp_path}/c.jsonl\ncorpus: {tmp_path}/c.jsonl\n", "utf-8"
    )
    loaded = load_recipe(recipe)
    with pytest.raises(UserError, match="30 of 30 golds looked at cannot be read"):
        select(Job(loaded, RunDir.open(tmp_path / "run", loaded)))
    assert not list((tmp_path / "run").rglob("curriculum.jsonl"))
