# ruff: noqa: T201
"""Does this tree's code compute what another revision's does, byte for byte? For moves of walls.

    python tests/benchmarks/same_bytes.py REVISION [RECIPE]

Runs RECIPE (tests/tiny.yaml, then recipes/quickstart.yaml at a small size) with the code of both on
this machine, each with a cache of its own, and compares curriculum, weights, rollouts and samples.
What names the grader's sources is left out of the samples: a moved file changes it. Prints a line a
file and ends with code 1 where any differs. About three minutes on two cores.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
SMALL = """
extends: {quickstart}
model: {{pretrain: {{skills: {{split: pretrain, tasks_per_family: 40}}, max_steps: 60}}}}
selection: {{size: 24}}
train: {{epochs: 1}}
eval: {{samples: 4, k: [1, 4]}}
"""


def run(tree: Path, recipe: Path, folder: Path) -> dict[str, str]:
    """The content of each file of a run, by its path in the run folder."""
    own = {"PYTHONPATH": f"{tree}:{tree / 'eval'}", "TTC_RL_CACHE": str(folder / "cache")}
    same = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", "ttc_rl", "run", recipe, "--run-dir", folder / "run"]
    done = subprocess.run(
        command, cwd=tree, env=os.environ | own | same, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{tree}: {done.stdout}{done.stderr}")
    names = ("curriculum.jsonl", "*.safetensors", "*.samples.jsonl", "*.parquet")
    paths = sorted(path for name in names for path in (folder / "run").rglob(name))
    return {str(path.relative_to(folder / "run")): content(path) for path in paths}


def content(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".parquet":
        data = json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in data.decode("utf-8").splitlines()]
        data = json.dumps([row | {"verifier": None} for row in rows]).encode()
    return hashlib.sha256(data).hexdigest()[:16]


def main(revision: str, recipes: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="same-bytes-") as temporary:
        folder = Path(temporary)
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", "-f", folder / "old", revision], check=True)
        try:
            small = folder / "small.yaml"
            small.write_text(
                SMALL.format(quickstart=ROOT / "recipes" / "quickstart.yaml"), encoding="utf-8"
            )
            differ = 0
            for recipe in map(Path, recipes or [ROOT / "tests" / "tiny.yaml", small]):
                trees = {"old": folder / "old", "new": ROOT}
                runs = {
                    name: run(tree, recipe.resolve(), folder / f"{name}-{recipe.stem}")
                    for name, tree in trees.items()
                }
                for path in sorted(runs["old"] | runs["new"]):
                    same = runs["old"].get(path) == runs["new"].get(path)
                    differ += not same
                    print(f"{'same  ' if same else 'DIFFERS'} {recipe.stem}: {path}")
            return int(differ > 0)
        finally:
            subprocess.run([*git, "remove", "--force", folder / "old"], check=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
