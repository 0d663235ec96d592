# ruff: noqa: T201
"""Our training step beside a bare TRL GRPOTrainer's with the same config. Not run by pytest.

    python tests/benchmarks/trainer.py [RUNS STEPS]      5 20

Both train the same model on the same prompts with the same GRPOConfig; the bare one's reward is
the verifier alone. Ours adds the order check, rollouts as parquet, metrics.jsonl, the watchdog and
resumable checkpoints' marks. Runs alternate in one process; a step's time is from one step's end to
the next, the median over all but the first two steps of each run, then over runs. `bookkeeping` is
what our own callbacks and the ledger took outside the verifier, per step, as a share of the step.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from transformers import TrainerCallback
from trl.trainer.grpo_trainer import GRPOTrainer

from ttc_rl.config import PretrainConfig, Recipe, SkillsConfig
from ttc_rl.curriculum import plan
from ttc_rl.run_dir import ArmDir
from ttc_rl.sources.skills import make_skills
from ttc_rl.train import grpo, ledger
from ttc_rl.train.pretrain import base_model
from ttc_rl.train.trl_config import grpo_config
from ttc_rl.verifiers import verify_many

PROMPTS = {"exact": "{prompt} =>"}
SIZES = {
    "tiny, 0.17 M parameters": PretrainConfig(max_steps=60),
    "6 layers of 256, 5 M": PretrainConfig(hidden=256, layers=6, heads=4, mlp=768, max_steps=20),
}


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


def recipe(steps: int) -> Recipe:
    sections = {"model": "m", "corpus": "c", "target": "t", "prompts": PROMPTS}
    train = {
        "tasks_per_step": 8, "rollouts_per_task": 16, "max_completion_tokens": 16,
        "save_steps": 10 * steps, "trl": {"learning_rate": 5e-4, "loss_type": "dr_grpo"},
    }  # fmt: skip
    return Recipe.model_validate({**sections, "train": train})


def ours(base: Path, steps: int) -> tuple[list[float], float]:
    made, tasks = recipe(steps), make_skills(SkillsConfig(tasks_per_family=8 * steps))[: 8 * steps]
    by_id = {task.id: task for task in tasks}
    clock, meter, inside = Clock(), Meter(), Meter()
    kept = ledger.Ledger.verified_reward, ledger.verify_many
    ledger.Ledger.verified_reward = meter.around(kept[0])  # type: ignore[method-assign]
    ledger.verify_many = inside.around(kept[1])
    hooks = [(c, n) for c in (grpo.Progress, grpo.Watchdog) for n in ("on_log", "on_step_end")]
    before = [getattr(c, n) for c, n in hooks]
    for (owner, name), function in zip(hooks, before, strict=True):
        setattr(owner, name, meter.around(function))
    folder = Path(tempfile.mkdtemp())
    arm = ArmDir(folder)

    class Ticking(grpo.Progress):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.on_step_end()

    progress, grpo.Progress = grpo.Progress, Ticking  # type: ignore[misc]
    try:
        grpo.train_grpo(
            made, plan([t.id for t in tasks], made.train), by_id, base, arm,
            track=False, say=lambda _: None,
        )  # fmt: skip
    finally:
        grpo.Progress = progress  # type: ignore[misc]
        ledger.Ledger.verified_reward, ledger.verify_many = kept  # type: ignore[method-assign]
        for (owner, name), function in zip(hooks, before, strict=True):
            setattr(owner, name, function)
        shutil.rmtree(folder)
    return clock.steps(), (meter.seconds - inside.seconds) / steps


def bare(base: Path, steps: int) -> list[float]:
    made, tasks = recipe(steps), make_skills(SkillsConfig(tasks_per_family=8 * steps))[: 8 * steps]
    by_id = {task.id: task for task in tasks}
    folder, clock = Path(tempfile.mkdtemp()), Clock()
    tokenizer = grpo.AutoTokenizer.from_pretrained(base, padding_side="left")
    order = plan([task.id for task in tasks], made.train)

    def reward(completions: Any, task_id: Any, **_: Any) -> list[float]:
        verdicts = verify_many([by_id[i] for i in task_id], completions)
        return [float(verdict.correct is True) for verdict in verdicts]

    config = grpo_config(made, order.steps, ArmDir(folder), track=False)
    trainer = GRPOTrainer(
        model=str(base),
        reward_funcs=reward,
        args=config,
        train_dataset=grpo._dataset(order, grpo._prompts(made, by_id, tokenizer)),
        processing_class=tokenizer,
        callbacks=[clock],
    )
    trainer.remove_callback(grpo.PrinterCallback)
    trainer.train()
    shutil.rmtree(folder)
    return clock.steps()


def main() -> None:
    runs, steps = (int(word) for word in (sys.argv[1:] or ("5", "20")))
    print("| model | bare TRL, ms a step | ours | ratio | bookkeeping of a step |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, config in SIZES.items():
        base = base_model(config, 0, PROMPTS, lambda _: None)
        bare(base, 3)  # imports and caches are not the step's
        theirs, mine, kept = list[float](), list[float](), list[float]()
        for _ in range(runs):
            theirs.append(median(bare(base, steps)))
            found, spent = ours(base, steps)
            mine.append(median(found))
            kept.append(spent / median(found))
        ratio = median(m / t for m, t in zip(mine, theirs, strict=True))
        print(
            f"| {name} | {1000 * median(theirs):.0f} | {1000 * median(mine):.0f} | {ratio:.3f} "
            f"| {100 * median(kept):.1f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
