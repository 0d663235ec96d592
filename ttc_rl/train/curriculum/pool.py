"""What a curriculum that follows the model chooses from: tasks, their embeddings, the targets'.

    pool.jsonl   one task a line, and its solve rate where selection measured it
    pool.npz     `corpus` (N, D); `target` (M, D), weighted as the selection had them, and the
                 `target_texts` that were embedded

Selection writes both, so that training embeds nothing. No gold of a target is among it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ttc_rl.run_dir import SELECT_ANEW, ArmDir, check_vouched, read_jsonl, write_bytes, write_jsonl
from ttc_rl.schema import Task, UserError
from ttc_rl.selection.problem import Problem
from ttc_rl.selection.rivals import nearest
from ttc_rl.vectors import Vectors

# N tasks of the pool, M targets, D embedding size.


@dataclass(frozen=True)
class Pool:
    tasks: list[Task]
    corpus_ND: np.ndarray
    target_MD: np.ndarray
    success_N: np.ndarray | None = None
    """Chance that the base model solves each task, where selection has measured it."""
    target_texts: tuple[str, ...] = ()
    """What was embedded of the targets."""

    def __len__(self) -> int:
        return len(self.tasks)


def pool_rows(
    corpus_ND: np.ndarray | Vectors, target_MD: np.ndarray, picks: Sequence[int], size: int
) -> np.ndarray:
    """Return the rows of the corpus that are picked, or among the `size` nearest to the targets;
    ascending."""
    size = min(size, len(corpus_ND))
    near = nearest(Problem(corpus_ND, target_MD, size)) if size else []
    return np.union1d(np.asarray(near, int), np.asarray(picks, int))


def write_pool(folder: ArmDir, pool: Pool) -> None:
    success = [None] * len(pool) if pool.success_N is None else pool.success_N.tolist()
    write_jsonl(
        folder.pool,
        (
            {"task_id": task.id, "success": p, "task": asdict(task)}
            for task, p in zip(pool.tasks, success, strict=True)
        ),
    )
    file = io.BytesIO()
    texts = np.array(pool.target_texts)
    np.savez(file, corpus=pool.corpus_ND, target=pool.target_MD, target_texts=texts)
    write_bytes(folder.pool_vectors, file.getvalue())


def read_pool(folder: ArmDir) -> Pool:
    """Read the pool of an arm. Raises UserError where the arm was selected for a static
    curriculum."""
    if not folder.pool_vectors.exists():
        raise UserError(
            f"{folder.pool}: not there; `ttc-rl select RECIPE --overwrite` makes the pool that "
            "train.curriculum chooses from"
        )
    fix = SELECT_ANEW.format(folder.selection)
    check_vouched(folder.selection, fix, folder.pool, folder.pool_vectors)
    rows = list(read_jsonl(folder.pool, "task", "success"))
    success = [row["success"] for row in rows]
    with np.load(folder.pool_vectors) as vectors:
        return Pool(
            [Task(**row["task"]) for row in rows],
            vectors["corpus"],
            vectors["target"],
            None if None in success else np.array(success, np.float64),
            tuple(vectors["target_texts"].tolist()),
        )
