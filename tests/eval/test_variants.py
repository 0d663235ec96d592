from pathlib import Path

import pytest

from ttc_eval.harness.variants import distracted, eval_benchmarks, perturbed, reordered, reworded
from ttc_rl.config import Recipe, SkillsConfig
from ttc_rl.corpus.benchmarks import Benchmark, resolve_target, retention
from ttc_rl.corpus.skills import SKILLS, make_skills, one_fewer
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers import verify

CHOICE = Task(
    "choice",
    "Which is blue?\n\nA. sky\nB. grass\nC. sun",
    "A",
    meta={"options": ["sky", "grass", "sun"], "question": "Which is blue?"},
)
SUM = Task("math", "What is 1+1?", "2", meta={"shown": "SUM: What is 1+1?"})


def recipe(target: object, data: Path | None = None, **evaluated: object) -> Recipe:
    tree = {"model": "m", "corpus": "c.jsonl", "target": target, "eval": evaluated}
    tree |= {"data": str(data)} if data else {}
    return Recipe.model_validate(tree)


def test_the_text_changes_and_the_gold_does_not():
    for change in (reworded, distracted):
        found = change(SUM)
        assert found.gold == "2"
        assert "What is 1+1?" in found.prompt != SUM.prompt
        assert "SUM: What is 1+1?" in found.meta["shown"] != SUM.meta["shown"]
        assert change(SUM) == found


def test_options_move_and_the_letter_follows():
    found = reordered(CHOICE)
    assert found is not None
    assert found.gold != "A"
    assert f"{found.gold}. sky" in found.prompt
    assert verify(found, rf"\boxed{{{found.gold}}}").correct is True
    assert reordered(SUM) is None


def test_one_element_fewer_has_its_own_answer_and_is_of_the_test_split():
    tasks = make_skills(SkillsConfig(split="test", tasks_per_family=20, levels=[2, 3]))
    pairs = [(task, one_fewer(task)) for task in tasks]
    made = [(task, found) for task, found in pairs if found is not None]
    assert len(made) > len(tasks) / 2
    assert {task.meta["family"] for task, _ in made} == set(SKILLS)
    for task, found in made:
        items = found.meta["content"].split()
        assert len(items) == len(task.meta["content"].split()) - 1
        assert found.gold == " ".join(SKILLS[task.meta["family"]].answer(items))
        assert found.meta["content"] in found.prompt
    assert one_fewer(SUM) is None


def test_a_changed_benchmark_knows_what_it_was_made_from():
    benchmark = Benchmark("mix", [SUM, CHOICE])
    found = perturbed(benchmark, "reordered")
    assert (found.name, [t.meta["variant_of"] for t in found.tasks]) == (
        "mix~reordered",
        [CHOICE.id],
    )
    assert found.problems == ("mix~reordered: 1 tasks cannot be reordered",)
    assert found.tasks[0].id not in (SUM.id, CHOICE.id)
    with pytest.raises(UserError, match="one-fewer changes none of the tasks of mix"):
        perturbed(benchmark, "one-fewer")
    with pytest.raises(UserError, match=r"eval\.perturbed: write my_package\.my_module:function"):
        perturbed(benchmark, "rewordd")
    own = perturbed(benchmark, "ttc_eval.harness.variants:reworded")
    assert own.name == "mix~reworded"


def test_what_was_kept_is_measured_unless_one_says_otherwise():
    def kept(target: object, **evaluated: object) -> list[str]:
        made = recipe(target, **evaluated)
        return retention(made.eval, resolve_target(made.target_sources))

    assert kept("skills/cipher") == ["skills/not-cipher@96"]
    assert kept("skills") == []
    assert kept("skills/cipher", benchmarks=["skills/sort"]) == []
    assert kept("skills/cipher", retention=["skills/sort"]) == ["skills/sort"]
    math, code = Benchmark("m", [SUM]), Benchmark("c", [Task("code", "?", tests=({},))])
    assert retention(recipe("x").eval, math) == ["mmlu-pro@200"]
    assert retention(recipe("x").eval, code) == ["math500@100"]


def test_target_changes_and_what_was_kept_stand_in_this_order():
    made = recipe("skills/cipher", perturbed=["one-fewer", "distracted"])
    names = [benchmark.name for benchmark in eval_benchmarks(made)]
    assert names == [
        *("skills/cipher", "skills/cipher~one-fewer", "skills/cipher~distracted"),
        "skills/not-cipher@96",
    ]
    others = eval_benchmarks(made)[-1].tasks
    assert len(others) == 96
    assert "cipher" not in {task.meta["family"] for task in others}


def test_what_cannot_be_had_says_how_to_leave_it_out(tmp_path: object):
    made = recipe("skills/cipher", retention=["nonsense"])
    with pytest.raises(UserError, match=r"nonsense.*eval\.retention: \[\] leaves it out"):
        eval_benchmarks(made)


def test_what_was_kept_is_measured_only_where_its_data_is_at_hand(tmp_path: Path):
    (tmp_path / "sums.jsonl").write_text('{"kind": "math", "prompt": "1+1?", "answer": "2"}\n')
    made = recipe(str(tmp_path / "sums.jsonl"), data=tmp_path)
    (only,) = eval_benchmarks(made)
    assert only.name == "sums"
    assert (
        "what training costs elsewhere is not measured: mmlu-pro@200 is not at hand"
        in (only.problems[-1])
    )
    asked = recipe(str(tmp_path / "sums.jsonl"), data=tmp_path, retention=["mmlu-pro@200"])
    with pytest.raises(UserError, match="no such file"):
        eval_benchmarks(asked)


def test_benchmarks_are_files_sources_and_patterns_too(tmp_path: Path):
    rows = '{"kind": "math", "prompt": "1+1?", "answer": "2"}\n'
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jsonl").write_text(rows)
        (tmp_path / f"{name}.yaml").write_text(
            f"description: {name}\nsource: {{path: {tmp_path}/{name}.jsonl}}\n"
        )
    (tmp_path / "plain.jsonl").write_text(rows)
    pattern, plain = f"{tmp_path}/*.yaml", f"{tmp_path}/plain.jsonl"
    entries = [pattern, f"{tmp_path}/a.yaml", plain, {"path": plain, "limit": 1, "kind": "exact"}]
    made = recipe("skills/cipher", benchmarks=entries[:3])
    assert [b.name for b in eval_benchmarks(made)] == ["skills/cipher", "a", "b", "c", "plain"]
    with pytest.raises(UserError, match="two are named plain"):
        eval_benchmarks(recipe("skills/cipher", benchmarks=entries))
    with pytest.raises(UserError, match=r"none/\*\.yaml: no file matches"):
        eval_benchmarks(recipe("skills/cipher", benchmarks=["none/*.yaml"]))
    assert len(eval_benchmarks(recipe(pattern))) == 3
