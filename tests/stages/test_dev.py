"""Evaluation while training: on which tasks, when, and that it changes nothing."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ttc_rl.config import load_recipe
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.engine import EngineCompleter
from ttc_rl.sampling.served import ServedCompleter
from ttc_rl.schema import UserError
from ttc_rl.stages import dev as dev_stage
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import report, run_all, select, train
from ttc_rl.train.dev import DevScores, best_step, dev_engine, without_gain

TINY = Path(__file__).parents[1] / "tiny.yaml"
SKILLS = "{skills: {split: train, seed: 9, tasks_per_family: 6, families: [count, sort]}}"


def job(folder: Path, *overrides: str) -> Job:
    recipe = load_recipe(TINY, list(overrides))
    return Job(recipe, RunDir.open(folder, recipe, resume=True))


def ids(path: Path) -> set[str]:
    return {row.get("task_id", row.get("id")) for row in read_jsonl(path)}


def test_it_is_scored_before_during_and_after_and_changes_no_weight(
    undisturbed: Path, cache: Path, tmp_path: Path
):
    dev = ["train.dev.every=3", "train.dev.tasks=5", "train.dev.samples=2"]
    made = job(tmp_path / "run", *dev, f"train.dev.source={SKILLS}")
    select(made)
    train(made)
    for arm in ("random", "sift"):
        folder, other = made.arm(arm)[1], undisturbed / "arms" / arm
        rows = list(read_jsonl(folder.dev))
        assert [row["step"] for row in rows] == [0, 3, 6, 8]
        assert all(0 <= row["avg@2"] <= 1 for row in rows)
        assert len(list(read_jsonl(folder.dev_samples(3)))) == 10
        mine, theirs = (
            hashlib.sha256((f / "model" / "model.safetensors").read_bytes()).hexdigest()
            for f in (folder.root, other)
        )
        assert mine == theirs
    report(made)
    assert "avg@2 on the dev tasks by step" in made.run.report.read_text()


def test_several_updates_a_step_are_one_step_to_the_dev_tasks(cache: Path, tmp_path: Path):
    keys = ["train.dev={every: 2, tasks: 4, samples: 1}", "train.epochs=1", "arms.random=null"]
    made = job(tmp_path / "run", *keys, "train.updates_per_step=4")
    select(made)
    train(made)
    folder = made.arm("sift")[1]
    assert [row["step"] for row in read_jsonl(folder.dev)] == [0, 2, 4]
    for step in (0, 2, 4):
        assert len(list(read_jsonl(folder.dev_samples(step)))) == 4


def test_dev_tasks_are_held_out_of_the_corpus(tmp_path: Path, cache: Path):
    made = job(tmp_path / "run", "train.dev.tasks=7")
    select(made)
    dev = ids(made.run.dev_tasks)
    assert len(dev) == 7
    size = read_json(made.arm("sift")[1].selection)["corpus_tasks"]
    for arm in ("random", "sift"):
        folder = made.arm(arm)[1]
        assert not dev & ids(folder.curriculum)
    plain = job(tmp_path / "plain")
    select(plain)
    assert read_json(plain.arm("sift")[1].selection)["corpus_tasks"] == size + 7
    assert not plain.run.dev_tasks.exists()


def test_a_source_of_ones_own_loses_what_stands_in_the_target(tmp_path: Path, cache: Path):
    target = "{skills: {split: test, tasks_per_family: 12, families: [count]}}"
    with pytest.raises(UserError, match="every corpus task overlaps with the target"):
        select(job(tmp_path / "run", f"train.dev.source={target}"))


def test_the_tests_own_golds_are_read_only_by_name_and_the_report_says_so(
    tmp_path: Path, cache: Path
):
    made = job(tmp_path / "run", "train.dev.source=target", "train.dev.tasks=4", "eval.samples=1",
               "eval.k=[1]", "train.epochs=1")  # fmt: skip
    run_all(made)
    rows = read_json(made.run.summary)["benchmarks"]["count"]["tasks"]
    assert rows == 12
    told = made.run.report.read_text()
    assert "whose golds were read for it" in told
    assert "was chosen on the test" in told


# --------------------------------------------------------------------------- what it decides

WATCHED = ["train.dev={every: 3, tasks: 4, samples: 2}", "arms.random=null"]


def told(monkeypatch: pytest.MonkeyPatch, shares: Mapping[int, float]) -> None:
    """Have the evaluation after each step find these shares."""
    real = dev_stage.dev_evaluation

    def as_told(made: Job, arm: str) -> Any:
        due, score = real(made, arm)

        def found(engine: Any, step: int) -> DevScores:
            scores = score(engine, step)
            return DevScores(scores.numbers, [shares[step]] * 4)

        return due, found

    monkeypatch.setattr(dev_stage, "dev_evaluation", as_told)


def digest(made: Job) -> str:
    path = made.arm("sift")[1].model / "model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def trained(folder: Path, *keys: str) -> Job:
    made = job(folder, *WATCHED, *keys)
    select(made)
    train(made)
    return made


def test_the_best_evaluations_weights_are_kept_also_after_a_kill(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told(monkeypatch, {0: 0.1, 3: 0.9, 6: 0.2, 8: 0.9})
    best = trained(tmp_path / "best", "train.keep=best")
    about = read_json(best.arm("sift")[1].training)
    assert (about["steps"], about["kept"]) == (8, 3)  # the first of equals
    assert not best.arm("sift")[1].best(3).parent.exists()
    last = trained(tmp_path / "last")
    assert digest(last) != digest(best)
    assert read_json(last.arm("sift")[1].training)["kept"] == 8

    told(monkeypatch, {0: 0.5, 3: 0.5})
    stopped = trained(tmp_path / "stopped", "train.stop=1")
    about = read_json(stopped.arm("sift")[1].training)
    assert (about["steps"], about["kept"]) == (3, 3)
    assert digest(stopped) == digest(best)

    monkeypatch.undo()
    told(monkeypatch, {0: 0.1, 3: 0.9, 6: 0.2})  # no evaluation after step 8: a kill there
    with pytest.raises(KeyError):
        trained(tmp_path / "killed", "train.keep=best")
    folder = job(tmp_path / "killed", *WATCHED, "train.keep=best").arm("sift")[1]
    assert best_step(folder) == 3
    monkeypatch.undo()
    told(monkeypatch, {6: 0.3, 8: 0.9})
    killed = trained(tmp_path / "killed", "train.keep=best")
    assert digest(killed) == digest(best)
    rows = list(read_jsonl(killed.arm("sift")[1].dev))
    assert [row["step"] for row in rows] == [0, 3, 6, 8]


def test_weights_of_the_best_evaluation_that_are_gone_are_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    told(monkeypatch, {0: 0.1, 3: 0.9, 6: 0.2})
    with pytest.raises(KeyError):
        trained(tmp_path / "run", "train.keep=best")
    made = job(tmp_path / "run", *WATCHED, "train.keep=best")
    shutil.rmtree(made.arm("sift")[1].best(3).parent)
    monkeypatch.undo()
    told(monkeypatch, {8: 0.3})
    train(made)
    assert "the weights of the best evaluation are gone" in caplog.text
    assert read_json(made.arm("sift")[1].training)["kept"] == 8


def test_an_adapter_of_the_best_evaluation_is_kept(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told(monkeypatch, {0: 0.9, 3: 0.1, 6: 0.2, 8: 0.3})
    made = trained(tmp_path / "run", "train.keep=best", "train.lora={rank: 2}")
    assert read_json(made.arm("sift")[1].training)["kept"] == 0
    from safetensors.torch import load_file

    from ttc_rl.stages.job import starting_model

    ours = load_file(made.arm("sift")[1].model / "model.safetensors")
    base = load_file(Path(starting_model(made.recipe)) / "model.safetensors")
    assert all(torch.equal(ours[name], base[name]) for name in ours)


def test_a_gain_is_an_interval_above_0_and_not_a_higher_point():
    rng = np.random.default_rng(0)
    flat = [np.clip(0.4 + 0.2 * rng.random(32), 0, 1) for _ in range(6)]
    assert without_gain(flat[:1]) == 0
    assert without_gain(flat) == 5
    risen = np.clip(flat[0] + 0.3, 0, 1)
    assert without_gain([*flat, risen]) == 0
    assert without_gain([*flat, risen, flat[1], risen]) == 2
    slow = [np.clip(flat[0] + 0.02 * n * rng.random(32), 0, 1) for n in range(8)]
    assert without_gain(slow) < 7  # small steps add up, against the last gain


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (["train.keep=best"], "`keep` goes by evaluations while training; give `dev:` too"),
        (["train.stop=2"], "`stop` goes by evaluations"),
        (["train.stop=2", "train.dev={source: target}"], "chosen by the test's own golds"),
    ],
)
def test_nothing_is_decided_without_dev_tasks_or_by_the_tests_golds(keys: list[str], says: str):
    with pytest.raises(UserError, match=says):
        load_recipe(TINY, keys)


# --------------------------------------------------------------------------- vLLM, by a stand-in


class Engine:
    """Records what is asked of TRL's `VLLMGeneration`."""

    def __init__(self, mode: str = "colocate", *, sleep: bool = False, parallel: int = 1) -> None:
        self.mode, self.enable_sleep_mode, self.tensor_parallel_size = mode, sleep, parallel
        self.asked: list[str] = []
        self._llm_weights_sleeping = sleep
        self.llm = SimpleNamespace(
            wake_up=lambda tags: self.asked.append(f"wake {tags}"),
            sleep=lambda level: self.asked.append(f"sleep {level}"),
        )

    def sync_weights(self) -> None:
        self.asked.append("weights")
        self._llm_weights_sleeping = False


def trainer(engine: Engine, loaded: int) -> Any:
    return SimpleNamespace(
        vllm_generation=engine,
        state=SimpleNamespace(global_step=6),
        _last_loaded_step=loaded,
        processing_class=SimpleNamespace(chat_template=None),
    )


def test_vllm_beside_the_trainer_gets_the_steps_weights_once():
    train, engine = load_recipe(TINY, []).train, Engine()
    used = trainer(engine, loaded=5)
    with dev_engine(used, train, {}, "m") as found:
        completer = found.completer(Decoding(8))
    assert isinstance(completer, EngineCompleter)
    assert completer.engine is engine.llm
    assert found.spread == "shared"
    with dev_engine(used, train, {}, "m"):
        pass
    assert engine.asked == ["weights"]
    assert used._last_loaded_step == 6


def test_a_sleeping_engine_is_woken_and_put_to_sleep_again():
    engine = Engine(sleep=True, parallel=2)
    with dev_engine(trainer(engine, loaded=6), load_recipe(TINY, []).train, {}, "m") as found:
        pass
    assert found.spread == "alike"  # its ranks hold parts of one engine
    assert engine.asked == ["weights", "wake ['kv_cache']", "sleep 2"]
    assert engine._llm_weights_sleeping


def test_a_server_is_asked_by_the_main_rank_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ttc_rl.system.endpoint.Endpoint.check", lambda self: None)
    keys = ["train.vllm={mode: server, server_base_url: 'http://node7:8000'}"]
    engine = Engine("server")
    with dev_engine(
        trainer(engine, loaded=0), load_recipe(TINY, keys).train, {}, "models/m"
    ) as found:
        completer = found.completer(Decoding(8))
    assert isinstance(completer, ServedCompleter)
    assert (completer.endpoint.url, completer.model) == ("http://node7:8000/v1", "models/m")
    assert (found.spread, completer.chat) == ("main", False)
    assert engine.asked == ["weights"]


def test_the_report_says_which_model_was_left_and_what_its_choice_makes_of_the_score(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told(monkeypatch, {0: 0.25, 3: 0.75, 6: 0.5, 8: 0.5})
    made = trained(tmp_path / "run", "train.keep=best")
    report(made)
    page = made.run.report.read_text()
    assert "sift is the model of step 3 of 8, the best of 4 evaluations: 75.0%" in page
    assert "chosen on some of the tasks it has 75.0% on the others" in page
    assert "Bands: 95 % over the dev tasks" in page
