"""A first recipe, made from what lies here: a model's folder, a file of tasks, GPUs."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ttc_rl.config import SourceConfig
from ttc_rl.corpus.files import SUFFIXES
from ttc_rl.corpus.sources import load_source
from ttc_rl.run_dir import write_text
from ttc_rl.schema import UserError

MODEL = "Qwen/Qwen3-0.6B"
"""Where there is no model here."""
CORPUS = "math-train"
TARGETS = {"math": "math500", "choice": "mmlu-pro@200", "code": "humaneval-plus"}
"""Kind of most tasks -> a test for it."""
MOST, SHARE = 1000, 4
"""A curriculum of the paper's size, of a quarter of a smaller corpus."""


@dataclass(frozen=True)
class Here:
    """What was found."""

    model: str | None
    data: str | None
    tasks: int
    kind: str
    gpus: int


def look_around(folder: Path, model: str | None = None, data: str | None = None) -> Here:
    """Look for a model's folder, a file of tasks and GPUs; what is named is not looked for.

    Raises UserError where a named file holds no task.
    """
    names = [str(path.relative_to(folder)) for path in sorted(folder.glob("*/config.json"))]
    model = model or (str(Path(names[0]).parent) if names else None)
    files = [data] if data else sorted(p.name for p in folder.iterdir() if _is_data(p))
    for name in files:
        try:
            tasks = load_source(SourceConfig(path=str(folder / name))).tasks
        except UserError:
            if data:
                raise
            continue
        kinds = [task.kind for task in tasks]
        return Here(model, name, len(tasks), max(set(kinds), key=kinds.count), _gpus())
    return Here(model, None, 0, "math", _gpus())


def _is_data(path: Path) -> bool:
    return path.is_file() and path.name.endswith(SUFFIXES)


def _gpus() -> int:
    if shutil.which("nvidia-smi") is None:
        return 0
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())


def starter(here: Here, target: str | None = None) -> str:
    """Return a commented recipe."""
    size = min(MOST, max(here.tasks // SHARE, 1)) if here.data else MOST
    step = min(8, size)
    corpus = here.data if here.data is None or "/" in here.data else f"./{here.data}"
    found_model = "found here" if here.model else "no model's folder was found here"
    found_data = f"{here.tasks:,} tasks" if here.data else "`ttc-rl corpus` lists others"
    vllm = (
        f"  vllm: {{mode: colocate}}           # {here.gpus} GPUs were found\n"
        if here.gpus
        else "  # vllm: {mode: colocate}         # no GPU was found; with one, vLLM draws here\n"
    )
    return f"""\
# Written by `ttc-rl init`. `ttc-rl run THIS --dry-run` shows what it will do and one prompt as the
# model reads it; docs/recipe.md lists every key.
model: {here.model or MODEL}      # {found_model}
corpus: [{corpus or CORPUS}]      # {found_data}; docs/data.md has the formats
target: {target or TARGETS.get(here.kind, "math500")}      # a benchmark, a file, or one prompt
selection: {{method: sift, size: {size}}}
train:
  epochs: 1
  tasks_per_step: {step}
  rollouts_per_task: 8
  micro_batch: 4                     # completions a pass; fewer need less memory: `ttc-rl plan`
  max_completion_tokens: 1024        # what is cut here earns nothing; `preflight: {{}}` checks it
  trl: {{learning_rate: 1e-6}}         # fields of TRL's GRPOConfig
{vllm}eval: {{samples: 4, k: [1, 4], retention: []}}
arms:                                # each is trained on as many tasks
  random: {{selection: {{method: random}}}}
  sift: {{}}
"""


def write_starter(path: Path, text: str) -> None:
    """Write the recipe. Raises UserError where the file is there."""
    if path.exists():
        raise UserError(f"{path}: is there already; name another file")
    write_text(path, text)
