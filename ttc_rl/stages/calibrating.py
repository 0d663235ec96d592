"""What a step of a recipe takes on this machine, measured: three real steps of its training.

The recipe is trained as it stands, with random picks in the place of its selection, into a folder
that is gone afterwards. The mean of the second and third step counts: the first one loads and
compiles. What was found is kept in the cache, by machine and recipe, where `ttc-rl plan` finds it;
arms whose steps are alike are measured once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

from ttc_rl.config import Recipe, with_keys
from ttc_rl.launch.budget.calibration import Measured, keep, machine, same_step
from ttc_rl.run_dir import RunDir, read_jsonl
from ttc_rl.schema import UserError

STEPS = 3
SECONDS, TOKENS, PEAK = "step_time", "num_tokens", "memory/peak_gb"
"""Columns of metrics.jsonl."""


def calibrate(recipe: Recipe) -> dict[str, Measured]:
    """Measure every arm that trains, and keep it. Raises UserError as a training would."""
    from ttc_rl.stages.job import Job
    from ttc_rl.stages.run import select, train

    found: dict[str, Measured] = {}
    for name in recipe.arm_names:
        arm = recipe.arm(name)
        alike = next((one for one in found if same_step(recipe.arm(one), arm)), None)
        if alike is not None:
            found[name] = found[alike]
        elif arm.policy.trains:
            with tempfile.TemporaryDirectory(prefix="ttc-rl-calibrate-") as folder:
                short = _few_steps(arm)
                job = Job(short, RunDir.open(Path(folder) / "run", short))
                select(job)
                train(job)
                metrics = job.arm(short.arm_names[0])[1].metrics
                found[name] = _measured(list(read_jsonl(metrics, "step")))
            keep(arm, found[name])
    return found


def _few_steps(arm: Recipe) -> Recipe:
    tasks = STEPS * arm.train.curriculum_tasks_per_step
    plain = {
        "arms": {},
        "sweep": {},
        "study": None,
        "preflight": None,
        "experts": None,
        "selection": {"method": "random", "size": tasks},
        "track": {"wandb": False},
        "train.epochs": 1,
        "train.dev": None,
        "train.keep": "last",
        "train.stop": None,
        "train.curriculum": {},
        "train.charge_selection": False,
    }
    return with_keys(arm, plain)


def _measured(rows: list[dict[str, Any]]) -> Measured:
    seconds = [row[SECONDS] for row in rows[1:] if row.get(SECONDS) is not None]
    if len(seconds) < STEPS - 1:
        raise UserError("--calibrate: the training ended before its third step; nothing to tell")
    tokens = [row[TOKENS] for row in rows if row.get(TOKENS) is not None]
    each = (tokens[-1] - tokens[0]) / (len(tokens) - 1) if len(tokens) > 1 else None
    return Measured(fmean(seconds), each, rows[-1].get(PEAK), machine())
