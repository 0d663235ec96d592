"""Weights & Biases beside the run folder's own files; all it shows is in those files as well."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ttc_rl.config import Recipe
from ttc_rl.ranks import is_main
from ttc_rl.run_dir import write_text
from ttc_rl.schema import UserError


@contextmanager
def tracked(recipe: Recipe, folder: Path, say: Callable[[str], None]) -> Iterator[bool]:
    """A W&B run for one arm while the block lasts, or nothing; yields whether there is one.

    The run's id stays in the folder, so a resumed arm goes on in the same W&B run. Without a login
    the run is recorded offline, and the line that uploads it is said at the end.
    """
    if not recipe.track.wandb or not is_main():
        yield False
        return
    try:
        import wandb
    except ImportError:
        raise UserError("track.wandb needs W&B: pip install 'ttc-rl[wandb]'") from None
    id_file = folder / "wandb_id"
    if not id_file.exists():
        write_text(id_file, uuid.uuid4().hex[:12])
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
    try:
        yield True
    finally:
        # run.dir is FOLDER/wandb/offline-run-DATE-ID/files
        kept = Path(run.dir).parent
        run.finish()
        if mode == "offline":
            say(f"W&B recorded offline; to upload: wandb sync {kept}")


def log_dev(told: Mapping[str, float]) -> None:
    """Numbers of an evaluation while training, into the current W&B run at its current step."""
    import wandb

    wandb.log({f"eval/dev/{name}": value for name, value in told.items()}, commit=False)


def log_results(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Evaluation metrics {benchmark: {metric: {value, lo, hi}}} into the current W&B run."""
    import wandb

    flat = {
        f"eval/{benchmark}/{metric}{suffix}": estimate[field]
        for benchmark, metrics in results.items()
        for metric, estimate in metrics.items()
        if isinstance(estimate, Mapping)
        for field, suffix in (("value", ""), ("lo", "_lo"), ("hi", "_hi"))
        if field in estimate
    }
    wandb.log(flat)
