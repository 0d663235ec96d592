"""One curriculum and one model a group of targets: who answers what, and mixtures of them all."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ttc_eval.compare.spending import arm_spending
from ttc_rl.config import Recipe, load_recipe
from ttc_rl.corpus.benchmarks import resolve_target
from ttc_rl.corpus.sources import load_corpus
from ttc_rl.embed import embed
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.engine import Adapters
from ttc_rl.sampling.generate import GenerateCompleter
from ttc_rl.schema import Completion, Task, UserError, Verdict
from ttc_rl.selection import select as sift
from ttc_rl.selection.groups import target_groups
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.mixing import POPULATION, Measure, check_mix, cross_entropy
from ttc_rl.stages.policies.experts import folders, route, routed_fingerprint
from ttc_rl.stages.run import evaluate, report, select, train
from ttc_rl.train.weights.mixture import Mixture, whole_model
from ttc_rl.verifiers import Graders, Kind
from ttc_rl.verifiers.majority import majority

pytestmark = pytest.mark.slow

TINY = Path(__file__).parents[1] / "tiny.yaml"
ARMS = {
    "random": None,
    "sift": None,
    "svf": {"experts": {"groups": 3}, "train": {"svf": {}, "trl": {"learning_rate": 2e-2}}},
    "full": {"experts": {"groups": 2}},
    "mixed": {
        "experts": {"groups": 2, "mix": "votes", "generations": 1},
        "train": {"lora": {"rank": 2}, "trl": {"learning_rate": 1e-2}},
    },
}


def job(folder: Path) -> Job:
    recipe = load_recipe(
        TINY, [f"arms={json.dumps(ARMS)}", "selection.size=8", "eval.greedy=false"]
    )
    return Job(recipe, RunDir.open(folder, recipe, resume=True))


@pytest.fixture(scope="module")
def done(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    made = job(tmp_path_factory.mktemp("experts") / "run")
    for stage in (select, train, evaluate, report):
        stage(made)
    return made


def base(made: Job) -> Path:
    return Path(starting_model(made.recipe))


def test_groups_share_the_targets_out():
    rng = np.random.default_rng(0)
    centres = np.eye(4)[[2, 0, 0, 1, 2, 1, 0]]
    found = target_groups(centres + 0.01 * rng.standard_normal((7, 4)), 3, 0)
    assert found == [[0, 4], [1, 2, 6], [3, 5]]
    assert target_groups(centres, None, 0) == [[row] for row in range(7)]
    assert target_groups(centres, 9, 0) == [[row] for row in range(7)]


def test_each_expert_has_the_curriculum_of_its_own_targets(done: Job):
    targets = {task.id: task for task in resolve_target(done.recipe.target_sources).tasks}
    owned = [one["targets"] for one in read_json(done.arm("svf")[1].experts, list)]
    assert sorted(task_id for ids in owned for task_id in ids) == sorted(targets)
    corpus = load_corpus(done.recipe.corpus, None).tasks
    corpus_ND = embed(corpus, done.recipe.embed)[:]
    for name, ids in zip(("svf/e0", "svf/e1", "svf/e2"), owned, strict=True):
        aims_MD = embed([targets[i] for i in ids], done.recipe.embed)[:]
        alone = sift(corpus_ND, aims_MD, size=8, noise=0.1)
        rows = read_jsonl(done.arm(name)[1].curriculum)
        assert [row["task_id"] for row in rows] == [corpus[pick.index].id for pick in alone]


def test_a_target_is_answered_by_its_expert_alone(done: Job, tmp_path: Path):
    """In batches of the run's own shapes: the rounding of others can turn a draw."""
    owner, targets = route(done, "svf"), resolve_target(done.recipe.target_sources).tasks
    in_a_batch = 16 // 4  # `eval.batch` and `eval.samples` of tiny.yaml
    rows = list(read_jsonl(done.run.samples("count", "svf")))
    assert {row["model"] for row in rows} == {routed_fingerprint(done, "svf", base(done))}
    for part, folder in folders(done, "svf").items():
        assert not folder.model.exists()
        whole_model(base(done), folder, tmp_path / part)
        alone = GenerateCompleter.load(tmp_path / part, Decoding(12), done.recipe.prompts)
        for first in range(0, len(targets), in_a_batch):
            batch = targets[first : first + in_a_batch]
            theirs = [task for task in batch if owner([task]) == [part]]
            drawn = alone(theirs, 4, seed=done.recipe.seed) if theirs else []
            for task, group in zip(theirs, drawn, strict=True):
                kept = [row["completion"] for row in rows if row["task_id"] == task.id]
                assert [one.text for one in group] == kept


def test_other_tasks_go_to_the_expert_of_the_nearest_target(done: Job):
    targets = resolve_target(done.recipe.target_sources).tasks
    others = [Task(**row["task"]) for row in read_jsonl(done.arm("full/e0")[1].curriculum)]
    vectors = embed([*targets, *others], done.recipe.embed)[:]
    owner = {
        task_id: f"full/{one['name']}"
        for one in read_json(done.arm("full")[1].experts, list)
        for task_id in one["targets"]
    }
    for task, vector in zip(others, vectors[len(targets) :], strict=True):
        cosines = [float(vector @ other) for other in vectors[: len(targets)]]
        nearest = targets[cosines.index(max(cosines))]
        assert route(done, "full")([task]) == [owner[nearest.id]]


def test_an_expert_that_is_lost_is_trained_again_and_no_other(done: Job, tmp_path: Path):
    copy = tmp_path / "run"
    shutil.copytree(done.run.root, copy)
    again = replace(done, run=RunDir(copy))
    lost, kept = again.arm("full/e1")[1], again.arm("full/e0")[1]
    before, stamp = lost.patch.read_bytes(), kept.patch.stat().st_mtime_ns
    lost.patch.unlink()
    assert not again.trained("full")
    with pytest.raises(UserError, match="full/e1: not trained yet"):
        routed_fingerprint(again, "full", base(again))
    train(again)
    assert lost.patch.read_bytes() == before
    assert kept.patch.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("arm", ["svf", "full", "mixed"])
def test_a_mixture_adds_up_what_the_experts_changed(done: Job, tmp_path: Path, arm: str):
    start = load_file(base(done) / "model.safetensors")
    experts, whole = list(folders(done, arm).values()), []
    for i, folder in enumerate(experts):
        whole_model(base(done), folder, tmp_path / str(i))
        whole.append(load_file(tmp_path / str(i) / "model.safetensors"))
    mixture = Mixture(base(done), experts)
    alphas = [0.5, -0.25, 2.0][: len(experts)]
    mixture.weigh([9.0] * len(experts))  # what was weighed before leaves nothing behind
    mixture.weigh(alphas)
    mixture.save(tmp_path / "mixed")
    found, changed = load_file(tmp_path / "mixed" / "model.safetensors"), 0
    assert found.keys() == start.keys()
    for name, weight in found.items():
        old = start[name].to(torch.bfloat16).float() if arm == "full" else start[name]
        change = sum(a * (one[name].float() - old) for a, one in zip(alphas, whole, strict=True))
        assert torch.allclose(weight, start[name] + change, atol=2e-5), name
        changed += int(not torch.equal(weight, start[name]))
    assert changed >= 14


def test_the_mixture_that_is_left_is_the_best_by_its_measure(done: Job):
    told = read_json(done.arm("mixed")[1].mix)
    assert told["score"] >= max(told["mean"], told["base"], *told["alone"])
    model = done.arm("mixed")[1].model
    ask = GenerateCompleter.load(model, Decoding(12), done.recipe.prompts)
    targets = resolve_target(done.recipe.target_sources).tasks
    groups = ask(targets, 4, seed=done.recipe.seed)
    shares = [
        majority(task, [one.text for one in group]).share
        for task, group in zip(targets, groups, strict=True)
    ]
    assert told["score"] == pytest.approx(float(np.mean(shares)))


def test_the_search_climbs_and_repeats_itself():
    top, asked = np.array([0.8, -0.3, 0.1]), list[float]()

    def score(alphas_E: np.ndarray) -> float:
        asked.append(1 - float(((alphas_E - top) ** 2).sum()))
        return asked[-1]

    best, told = cross_entropy(score, 3, 12, 0)
    assert len(asked) == 5 + 12 * POPULATION
    assert told["score"] == max(asked) > 0.99
    assert told["by_generation"] == sorted(told["by_generation"])
    again, _ = cross_entropy(score, 3, 12, 0)
    assert best.tolist() == again.tolist()


def test_what_all_experts_took_is_the_arms_bill(done: Job):
    counted = [
        [row["num_tokens"] for row in read_jsonl(folder.metrics)][-1]
        for folder in folders(done, "full").values()
    ]
    assert arm_spending(done.run, done.recipe, "full").read == sum(counted)


def test_the_report_shows_every_expert(done: Job):
    page = done.run.report.read_text()
    assert all(part in page for part in done.parts)
    assert "Each target is answered by its own expert" in page
    weights = read_json(done.arm("mixed")[1].mix)["weights"].values()
    assert all(f"{weight:+.2f}" in page for weight in weights)


def test_dev_tasks_that_are_not_there_are_asked_for():
    asked = {"model": "m", "corpus": "c", "target": "t", "experts": {"mix": "dev"}}
    with pytest.raises(ValueError, match=r"weighs by the tasks of `train\.dev`"):
        Recipe.model_validate(asked)


def test_the_adapter_of_an_expert_has_a_card_of_its_own(done: Job):
    part = next(part for part in done.parts if part.startswith("svf/"))
    text = (done.arm(part)[1].adapter / "README.md").read_text()
    assert "One expert of several" in text
    assert "SVF adapter for" in text
    assert "Results are those of arm `svf`" in text
    assert "| count |" in text  # with results, as the report has left it
    mixed = (done.arm("mixed")[1].model / "README.md").read_text()
    assert "A mixture of several experts" in mixed


def test_two_targets_stand_side_by_side_in_the_report(cache: Path, tmp_path: Path):
    keys = ["target=[skills/count@10, skills/sort@6]", "arms.random=null", "eval.greedy=false"]
    recipe = load_recipe(TINY, [*keys, "eval.retention=[skills/reverse@4]"])
    made = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    for stage in (select, train, evaluate, report):
        stage(made)
    page = made.run.report.read_text()
    assert "<h1>Test-time curriculum for skills/count@10 and skills/sort@6" in page
    summary = read_json(made.run.summary)
    assert summary["target"] == "skills/count@10"
    assert list(summary["retention"]["sift"]["benchmarks"]) == ["skills/reverse@4"]
    card = (made.arm("sift")[1].model / "README.md").read_text()
    assert "**Specialised on one test: skills/count@10 and skills/sort@6.**" in card


def test_what_vllm_is_told_of_the_adapters_it_holds(tmp_path: Path):
    """tests/sampling/test_vllm_engine.py asks a real engine."""
    paths = {f"e{i}": tmp_path for i in range(30)}
    told = Adapters(paths, lambda tasks: [], rank=20).options()
    assert told == {"enable_lora": True, "max_lora_rank": 32, "max_loras": 8, "max_cpu_loras": 30}
    assert Adapters({"e0": tmp_path}, lambda tasks: [], rank=8).options()["max_loras"] == 1
    with pytest.raises(UserError, match="vLLM takes 512 at most"):
        Adapters(paths, lambda tasks: [], rank=513).options()


def test_targets_that_cannot_vote_are_told_of_before_anything_is_trained(tmp_path: Path):
    path = tmp_path / "programs.jsonl"
    path.write_text('{"kind": "code", "prompt": "print 1", "tests": [{"output": "1"}]}\n')
    keys = [f"target={path}", "arms={random: null, sift: null, mixed: {experts: {mix: votes}}}"]
    recipe = load_recipe(TINY, keys)
    made = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    with pytest.raises(UserError, match=r"experts\.mix: answers of kind code cannot vote"):
        check_mix(made)


def test_a_mixture_is_not_weighed_by_answers_that_could_not_be_graded(tmp_path: Path):
    failed = Verdict(None, status="infra_error")
    graders = Graders({"broken": Kind("broken", lambda task, text: failed)})
    measure = Measure("dev", [Task("broken", "1", "1")], 1, tmp_path, 0, 8, graders)
    with pytest.raises(UserError, match=r"experts\.mix"):
        measure(lambda tasks, num, *, seed, first=0: [[Completion("1", "stop", 1)]], [1.0])


def test_a_killed_search_draws_nothing_twice(tmp_path: Path):
    """Votes agree the more, the nearer the first weight is to 2."""
    tasks, calls = [Task("math", str(i)) for i in range(6)], list[float]()

    def search(folder: Path, kill_at: int = -1) -> dict[str, Any]:
        measure = Measure("votes", tasks, 4, folder, seed=0, batch=8)

        def score(alphas_E: np.ndarray) -> float:
            agreed = round(4 * max(0.0, 1 - abs(float(alphas_E[0]) - 2)))

            def completer(
                tasks: Sequence[Task], num: int, *, seed: int, first: int = 0
            ) -> list[list[Completion]]:
                calls.append(seed)
                if len(calls) == kill_at:
                    raise InterruptedError
                answers = [9 if i < agreed else i for i in range(first, first + num)]
                return [[Completion(rf"\boxed{{{a}}}", "stop", 1) for a in answers] for _ in tasks]

            return measure(completer, alphas_E.tolist())

        return cross_entropy(score, 2, 3, 0)[1]

    whole = search(tmp_path / "whole")
    assert whole["score"] > max(whole["alone"])
    needed = len(calls)
    assert needed == 3 * (4 + 3 * POPULATION)  # three batches a mixture
    calls.clear()
    with pytest.raises(InterruptedError):
        search(tmp_path / "killed", kill_at=32)  # within the eleventh mixture
    assert search(tmp_path / "killed") == whole
    assert len(calls) == needed + 1
