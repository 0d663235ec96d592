"""Completions by a real vLLM engine, on a GPU or by its CPU build; skipped where there is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ttc_rl.config import EngineConfig, PretrainConfig, SkillsConfig, load_recipe
from ttc_rl.corpus.benchmarks import resolve_target
from ttc_rl.corpus.skills import make_skills
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.sampling import Decoding, ModelCompleter, load_completer
from ttc_rl.sampling.engine import EngineCompleter
from ttc_rl.schema import Task
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.policies.experts import folders, route, routed_completer
from ttc_rl.stages.run import select, train
from ttc_rl.train.weights.mixture import whole_model

pytest.importorskip("vllm")
pytestmark = pytest.mark.filterwarnings("default")  # vLLM's own

PROMPTS = {"exact": "{prompt} =>"}
TASKS = make_skills(SkillsConfig(split="test", tasks_per_family=1))[:6]


@pytest.fixture(scope="module")
def model(cache: Path) -> Path:
    from ttc_rl.train.tiny_model import base_model

    config = PretrainConfig(layers=1, max_steps=60, skills=SkillsConfig(tasks_per_family=20))
    return base_model(config, 0, PROMPTS)


@pytest.fixture(scope="module")
def completer(model: Path):
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    config = EngineConfig(backend="vllm", max_model_len=64, gpu_memory_utilization=0.5)
    loaded = load_completer(model, PROMPTS, config)
    yield loaded.decoding_with(Decoding(max_tokens=8))
    loaded.close()


def test_a_sample_depends_on_its_own_seed_alone(completer: ModelCompleter):
    together = completer(TASKS, 5, seed=3)
    assert completer(TASKS[4:5], 1, seed=3, first=2) == [[together[4][2]]]
    assert completer(TASKS, 5, seed=4) != together
    assert len({c.text for group in together for c in group}) > 6


def test_greedy_is_what_transformers_writes(completer: ModelCompleter, model: Path):
    greedy = Decoding(max_tokens=8, temperature=0)
    slow = load_completer(model, PROMPTS, EngineConfig(backend="transformers"))
    ours = completer.decoding_with(greedy)(TASKS, 1, seed=0)
    theirs = slow.decoding_with(greedy)(TASKS, 1, seed=0)
    for (a,), (b,) in zip(ours, theirs, strict=True):
        assert a.text.lstrip() == b.text.lstrip()  # transformers drops a first space
        assert (a.finish_reason, a.tokens) == (b.finish_reason, b.tokens)
        assert a.prompt_tokens == b.prompt_tokens
        assert a.confidence == pytest.approx(b.confidence, rel=0.02)


def test_a_prompt_that_fills_the_context_is_told(completer: ModelCompleter):
    long = Task("exact", "sort " + "a " * 80, "a")
    found = completer([TASKS[0], long], 2, seed=0)
    assert [c.finish_reason for c in found[1]] == ["prompt_too_long"] * 2
    assert {c.finish_reason for c in found[0]} <= {"stop", "length"}


def test_the_harness_draws_grades_and_resumes(completer: ModelCompleter, tmp_path: Path):
    from ttc_rl.sampling.drawing import Drawing, draw

    whole = Drawing("skills", TASKS, 4, tmp_path / "whole.jsonl", seed=1)
    draw(completer, whole, batch=8)
    rows = list(read_jsonl(whole.path))
    assert len(rows) == 24
    cut = Drawing("skills", TASKS, 4, tmp_path / "cut.jsonl", seed=1)
    lines = whole.path.read_text().splitlines(keepends=True)
    cut.path.write_text("".join(lines[:9]) + lines[9][:20])
    draw(completer, cut, batch=8)
    assert list(read_jsonl(cut.path)) == rows


def test_adapters_in_one_engine_write_what_each_expert_writes_alone(cache: Path, tmp_path: Path):
    """LoRA experts by vLLM, every task with its own, beside transformers on the merged models."""
    arms = {"random": None, "sift": None, "each": {"experts": {"groups": 2}}}
    lora = ["train.lora={rank: 2}", "train.trl.learning_rate=1e-2", "selection.size=8"]
    keys = [f"arms={json.dumps(arms)}", *lora, "eval.engine={backend: vllm, max_model_len: 64}"]
    recipe = load_recipe(Path(__file__).parents[1] / "tiny.yaml", keys)
    made = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    select(made)
    train(made)
    tasks, greedy = (
        resolve_target(recipe.target_sources).tasks,
        Decoding(max_tokens=8, temperature=0),
    )
    base = starting_model(recipe)
    together = routed_completer(made, "each", base)
    assert isinstance(together, EngineCompleter)
    ours = together.decoding_with(greedy)(tasks, 1, seed=0)
    together.close()
    sure = [one.confidence for (one,) in ours]
    for part, folder in folders(made, "each").items():
        whole_model(base, folder, tmp_path / part)
        slow = load_completer(tmp_path / part, recipe.prompts, EngineConfig(backend="transformers"))
        mine = [i for i, task in enumerate(tasks) if route(made, "each")([task]) == [part]]
        theirs = slow.decoding_with(greedy)([tasks[i] for i in mine], 1, seed=0)
        for i, (one,) in zip(mine, theirs, strict=True):
            assert ours[i][0].text.strip() == one.text.strip()
            assert sure[i] == pytest.approx(one.confidence, rel=0.02)
    assert len(set(sure)) > 2


ENGINE_ALONE = """
import sys
from pathlib import Path
from ttc_rl.config import EngineConfig
from ttc_rl.sampling import load_completer

if __name__ == "__main__":
    config = EngineConfig(backend="vllm", max_model_len=64, gpu_memory_utilization=0.5)
    load_completer(Path(sys.argv[1]), {"exact": "{prompt} =>"}, config)
    print("READY", flush=True)
    sys.stdin.read()
"""


def test_an_engine_does_not_outlive_a_process_that_was_killed(model: Path, tmp_path: Path):
    script = tmp_path / "alone.py"
    script.write_text(ENGINE_ALONE, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script), str(model)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while "READY" not in (line := process.stdout.readline()):
            assert line
        below = psutil.Process(process.pid).children(recursive=True)
        engines = [one for one in below if "EngineCore" in " ".join(one.cmdline())]
        assert engines
        process.kill()
    assert psutil.wait_procs(engines, timeout=10)[1] == []
