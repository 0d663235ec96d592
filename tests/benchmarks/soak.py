# ruff: noqa: T201
"""A training run beside a grader that is under attack: is it slowed, does anything get lost?

    python tests/benchmarks/soak.py [MINUTES]       20, with one hostile program in twenty

The same training runs again and again: alone, beside a grader of honest programs, and beside one
of which every twentieth program is hostile. Training and grader have a core each, so a third core
is not needed and a machine with less than two says nothing. Prints TRL's seconds a step (the median
of a run, then of the runs), ratios to the training that was alone, programs graded, wrong verdicts
on honest programs, what the grader left over, and whether all runs ended with the same weights and
rollouts, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from itertools import count, cycle
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from hostile_row import HOSTILE, LIMITS, TEST, leftovers

from ttc_rl.schema import Task
from ttc_rl.verifiers import programs
from ttc_rl.verifiers.sandbox import Sandbox, probe

ROOT = Path(__file__).parents[2]
EVERY = 20
"""One program in so many is hostile."""
HONEST = "def f(n):\n    return sum(k * k for k in range(2000)) * n - 2584656389"
TASK = Task("code", "?", tests=(TEST,), meta=LIMITS | {"time_limit": 2.0})
COMMAND = (sys.executable, "-m", "ttc_rl")
RECIPE = "extends: {quickstart}\narms: {{random: null}}\ntrain: {{epochs: 4}}\n"


def select(folder: Path) -> Path:
    """A run folder that has its curriculum and model, to copy from."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(quickstart=ROOT / "recipes/quickstart.yaml"), encoding="utf-8")
    run = folder / "selected"
    subprocess.run([*COMMAND, "select", recipe, "--run-dir", run], cwd=ROOT, check=True)
    return run


def train(selected: Path, run: Path, sandbox: Sandbox | None, hostile: bool) -> Counter[str]:
    """Train a copy of `selected`; grade beside it, where there is a sandbox, until it has ended."""
    shutil.copytree(selected, run)
    command = [*COMMAND, "train", run / "recipe.yaml", "--run-dir", run]
    graded = Counter[str]()
    with (run / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        for number in count():
            if process.poll() is not None:
                break
            if sandbox is None:
                time.sleep(0.2)
                continue
            attack = hostile and number % EVERY == 0
            source = HOSTILE[number // EVERY % len(HOSTILE)] if attack else HONEST
            verdict = programs.verify(TASK, f"```python\n{source}\n```", sandbox)
            graded["hostile" if attack else "honest"] += 1
            graded["wrong"] += verdict.correct is not (not attack)
    if process.returncode:
        sys.exit((run / "log").read_text(encoding="utf-8"))
    return graded


def seconds_a_step(run: Path) -> float:
    lines = next(run.rglob("metrics.jsonl")).read_text(encoding="utf-8").splitlines()
    return median(json.loads(line)["step_time"] for line in lines[2:])


def content(run: Path) -> str:
    """Of the trained weights and the rollouts."""
    weights = run.rglob("model/model.safetensors")
    files = [*weights, *sorted(run.rglob("rollouts/*.parquet"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def soak(minutes: float, folder: Path) -> None:
    sandboxes = cycle(Sandbox(s.name) for s in probe() if s.works and Sandbox(s.name).confines)
    selected = select(folder)
    seconds, contents = defaultdict[str, list[float]](list), set[str]()
    graded, under_attack, runs = Counter[str](), 0.0, count()
    for condition in cycle(["alone", "honest", *["hostile"] * 10]):
        if under_attack >= minutes * 60:
            break
        sandbox = None if condition == "alone" else next(sandboxes)
        run, began = folder / f"{next(runs)}", time.monotonic()
        of_run = train(selected, run, sandbox, condition == "hostile")
        took = time.monotonic() - began
        seconds[condition].append(seconds_a_step(run))
        contents.add(content(run))
        if condition == "hostile":
            graded, under_attack = graded + of_run, under_attack + took
        name = sandbox.kind if sandbox else "-"
        print(
            f"{condition:8} {name:12} {seconds[condition][-1]:.4f} s a step, {took:.0f} s, "
            f"{dict(of_run)}",
            flush=True,
        )
        shutil.rmtree(run)
    alone = median(seconds["alone"])
    for condition, values in seconds.items():
        ratio = median(values) / alone
        print(f"{condition}: {median(values):.4f} s a step, {len(values)} runs, ratio {ratio:.3f}")
    print(f"under attack: {under_attack / 60:.1f} minutes, {dict(graded)}")
    print(f"weights and rollouts: {'the same bytes' if len(contents) == 1 else 'DIFFER'}")


if __name__ == "__main__":
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        soak(float(sys.argv[1]) if len(sys.argv) > 1 else 20, Path(temporary))
    working = [s.name for s in probe() if s.works and Sandbox(s.name).confines]
    print("left over after it:", {name: leftovers(Sandbox(name), 15) for name in working})
