"""W&B and Trackio beside the run folder's own files; what they show is in those files as well."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ttc_rl.config import Recipe
from ttc_rl.metrics import Estimate
from ttc_rl.run_dir import ArmDir, read_rollouts, write_text
from ttc_rl.schema import UserError
from ttc_rl.system.install import install
from ttc_rl.system.ranks import is_main

logger = logging.getLogger(__name__)

TOKENS = "train/tokens/generated"
"""Under this name transformers' callback passes on what metrics.jsonl calls tokens/generated."""
COLUMNS: list[Any] = [
    "step",
    "task_id",
    "completion",
    "answer",
    "correct",
    "reward",
    "finish_reason",
]
MOST_ROWS, MOST_CHARACTERS = 64, 4000
MOST_IN_NAME = 128
"""Characters of an artifact's name at W&B (wandb 0.31, sdk/artifacts/_validators.py)."""


@contextmanager
def tracked(recipe: Recipe, folder: Path) -> Iterator[bool]:
    """Open a W&B run for one arm while the block lasts, where the recipe asks for one. Yields
    whether it does.

    The run's id stays in the folder, so a resumed arm goes on in the same W&B run. Without a login
    the run is recorded offline, and the line that uploads it is logged at the end.
    """
    if not recipe.track.wandb or not is_main():
        yield False
        return
    try:
        import wandb
    except ImportError:
        raise UserError(f"track.wandb needs W&B: {install('wandb')}") from None
    id_file = folder / "wandb_id"
    if not id_file.exists():
        # The agent of a sweep names the run before it starts it.
        sweep_id = os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None
        write_text(id_file, sweep_id or uuid.uuid4().hex[:12])
    mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
    run = wandb.init(
        project=recipe.track.project,
        name=folder.name,
        id=id_file.read_text(),
        dir=folder,
        resume="allow" if mode == "online" else None,
        mode=mode,  # pyright: ignore[reportArgumentType]
        config=recipe.model_dump(),
        settings=wandb.Settings(silent=True),
    )
    # Two x-axes: steps, and what was generated. A dev score is about the latter.
    run.define_metric(TOKENS)
    run.define_metric("eval/dev/*", step_metric=TOKENS)
    try:
        yield True
    finally:
        # run.dir is FOLDER/wandb/offline-run-DATE-ID/files
        folder_of_run = Path(run.dir).parent
        run.finish()
        if mode == "offline":  # a folder for each time that the run went on
            folders = sorted(folder_of_run.parent.glob(f"offline-run-*-{id_file.read_text()}"))
            logger.info(
                f"W&B recorded offline; to upload: wandb sync {' '.join(map(str, folders))}"
            )


def keep_trackio_in(folder: Path) -> None:
    """Keep Trackio's database in a run's folder, unless TRACKIO_DIR names another.

    Trackio reads the variable when TRL imports it: the first run of a process decides.
    """
    os.environ.setdefault("TRACKIO_DIR", str(folder.resolve() / "trackio"))


def run_name(folder: Path) -> str:
    """Return an arm's name, unique where several runs share a store: RUN, RUN-ARM, or
    RUN-ARM-EXPERT."""
    whole = folder.resolve()
    names = [whole.name]
    for kind in ("experts", "arms"):
        if whole.parent.name == kind:
            whole = whole.parents[1]
            names.insert(0, whole.name)
    return "-".join(names)


def log_training(arm: ArmDir) -> None:
    """Log what an arm left into the current W&B run: files by reference, and some of its rollouts.

    Nothing large is uploaded: an artifact holds where its files lie and how large they are. The
    table has the last step's first `MOST_ROWS` completions, cut to `MOST_CHARACTERS`.
    """
    import wandb

    model = next(path for path in (arm.model, arm.adapter, arm.patch) if path.exists())
    for kind, path in (("curriculum", arm.curriculum), ("model", model)):
        artifact = wandb.Artifact(artifact_name(arm.root.name, kind), type=kind)
        artifact.add_reference(path.resolve().as_uri(), checksum=False)
        wandb.log_artifact(artifact)
    steps = sorted(arm.rollouts.glob("step-*.parquet"))
    if steps:
        rows = read_rollouts(steps[-1], COLUMNS).slice(0, MOST_ROWS).to_pylist()
        cut: list[Any] = [[str(row[c])[:MOST_CHARACTERS] for c in COLUMNS] for row in rows]
        wandb.log({"rollouts": wandb.Table(columns=COLUMNS, data=cut)})


def artifact_name(folder: str, kind: str) -> str:
    """Return a name that W&B takes: letters, digits, `_`, `-`, `.`, of at most 128 characters.

    The folder of a sweep's cell, `target=cipher,seed=0`, has others.
    """
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder)
    return f"{cleaned[: MOST_IN_NAME - len(kind) - 1]}-{kind}"


def log_dev(scores: Mapping[str, float]) -> None:
    """Log the numbers of a dev evaluation into the current W&B run at its current step."""
    import wandb

    wandb.log({f"eval/dev/{name}": value for name, value in scores.items()}, commit=False)


def log_results(results: Mapping[str, Mapping[str, Estimate]]) -> None:
    """Log evaluation metrics, {benchmark: {metric: estimate}}, into the current W&B run."""
    import wandb

    flat: dict[str, float | None] = {}
    for benchmark, metrics in results.items():
        for metric, estimate in metrics.items():
            name = f"eval/{benchmark}/{metric}"
            flat |= {name: estimate.value, f"{name}_lo": estimate.lo, f"{name}_hi": estimate.hi}
    wandb.log(flat)
