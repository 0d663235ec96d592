"""An arm of several experts: a target is answered by the expert it was a target of, any other task
by that of the nearest target, by cosine of the embeddings that selection uses."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ttc_rl.corpus.benchmarks import together
from ttc_rl.run_dir import ArmDir, read_experts
from ttc_rl.sampling import Decoding, ModelCompleter, load_completer
from ttc_rl.schema import Task, UserError, content_hash
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.policies.base import Policy, embedded
from ttc_rl.stages.same_tasks import read_targets
from ttc_rl.system.versions import model_fingerprint


def routed(job: Job, name: str) -> Policy:
    """Return the policy of an arm of several experts, each of which answers its own tasks."""
    model = starting_model(job.recipe)
    load = functools.partial(routed_completer, job, name, model)
    return Policy(name, routed_fingerprint(job, name, model), load)


def folders(job: Job, name: str) -> dict[str, ArmDir]:
    """Return the experts of an arm. Raises UserError where they are not all trained."""
    for part in (parts := job.parts_of(name)):
        if not job.trained(part):
            raise UserError(f"{part}: not trained yet; `ttc-rl train RECIPE` does it")
    return {part: job.arm(part)[1] for part in parts}


def routed_fingerprint(job: Job, name: str, base: Path | str) -> str:
    """Return which weights, of the base and of all experts."""
    parts = {
        part: model_fingerprint(folder.root if folder.patch.exists() else folder.adapter)
        for part, folder in folders(job, name).items()
    }
    return content_hash([model_fingerprint(base), parts])


def routed_completer(job: Job, name: str, base: Path | str) -> ModelCompleter:
    """Return the arm as one completer.

    LoRA adapters go together into one engine of vLLM; others are loaded one at a time, each made
    whole in the run folder for as long.
    """
    experts, lora = folders(job, name), job.recipe.arm(name).train.lora
    if job.recipe.engine.backend == "vllm" and lora is not None:
        from ttc_rl.sampling.engine import Adapters, EngineCompleter

        adapters = {part: folder.adapter for part, folder in experts.items()}
        rank = max([lora.rank, *lora.peft.get("rank_pattern", {}).values()])
        return EngineCompleter.load(
            base, Decoding(max_tokens=1), job.recipe.prompts, job.recipe.engine,
            Adapters(adapters, route(job, name), rank), dtype=job.recipe.model.dtype,
        )  # fmt: skip
    from ttc_rl.sampling.routed import Routed
    from ttc_rl.train.weights.mixture import whole_model

    def load(part: str) -> ModelCompleter:
        with tempfile.TemporaryDirectory(dir=job.run.root, prefix=".expert-") as folder:
            whole = Path(folder) / "model"
            whole_model(base, experts[part], whole)
            recipe = job.recipe
            return load_completer(whole, recipe.prompts, recipe.engine, dtype=recipe.model.dtype)

    return Routed(route(job, name), load, Decoding(max_tokens=1))


def route(job: Job, name: str) -> Callable[[Sequence[Task]], list[str]]:
    """Return a function from tasks to the names of their experts."""
    owner = {
        task_id: f"{name}/{expert['name']}"
        for expert in read_experts(job.arm(name)[1].experts)
        for task_id in expert["targets"]
    }

    @functools.cache
    def targets() -> tuple[list[Task], np.ndarray]:
        tasks = together(read_targets(job)).tasks
        return tasks, embedded(job, tasks)

    def of(tasks: Sequence[Task]) -> list[str]:
        strange = [task for task in tasks if task.id not in owner]
        if strange:
            routed, target_MD = targets()
            # The largest cosine, the first target in a tie.
            nearest_N = (embedded(job, strange) @ target_MD.T).argmax(axis=1)
            near = zip(strange, nearest_N, strict=True)
            owner.update({task.id: owner[routed[m].id] for task, m in near})
        return [owner[task.id] for task in tasks]

    return of
