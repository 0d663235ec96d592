"""How an arm answers: a policy for each model that is evaluated.

A target is answered by the expert it was a target of; any other task by that of the nearest target,
by cosine of the embeddings that selection uses.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ttc_eval.report.model_card import CARD, RECIPE
from ttc_rl.config import Recipe
from ttc_rl.config.places import did_you_mean
from ttc_rl.corpus.benchmarks import together
from ttc_rl.run_dir import ArmDir, check_vouched, read_experts
from ttc_rl.sampling import Decoding, ModelCompleter, load_completer
from ttc_rl.schema import Completer, Task, UserError, content_hash
from ttc_rl.stages.job import Job, starting_model
from ttc_rl.stages.same_tasks import read_targets
from ttc_rl.system.versions import model_fingerprint

BASE = "base"
"""Name of the untrained model among the evaluated ones."""


@dataclass(frozen=True)
class Policy:
    """How one model of a run answers."""

    name: str
    fingerprint: str
    """Which weights: samples of others are not gone on with."""
    load: Callable[[], ModelCompleter]


def policy_of(job: Job, name: str) -> Policy:
    """Return how `base` or an arm answers. Raises UserError where it is not trained yet."""
    for made_of in POLICIES:
        if policy := made_of(job, name):
            return policy
    raise AssertionError(name)


def served(job: Job, name: str) -> Policy | None:
    """Return the policy of the model with that name at the recipe's endpoint."""
    if job.recipe.engine.backend != "endpoint":
        return None
    model = job.recipe.engine.served[name]
    return Policy(name, model_fingerprint(model), functools.partial(_loaded, job, model))


def base(job: Job, name: str) -> Policy | None:
    """Return the policy of the model that training starts from."""
    if name != BASE:
        return None
    model = starting_model(job.recipe)
    return Policy(name, model_fingerprint(model), functools.partial(_loaded, job, model))


def routed(job: Job, name: str) -> Policy | None:
    """Return the policy of an arm of several experts, each of which answers its own tasks."""
    experts = job.recipe.arm(name).experts
    if experts is None or experts.mix is not None:
        return None
    model = starting_model(job.recipe)
    load = functools.partial(routed_completer, job, name, model)
    return Policy(name, routed_fingerprint(job, name, model), load)


def trained(job: Job, name: str) -> Policy | None:
    """Return the policy of the weights that an arm's training left."""
    folder = job.arm(name)[1]
    if not folder.model.exists():
        raise UserError(f"{folder.model}: no model there yet; `ttc-rl train RECIPE` makes it")
    again = f"delete {folder.model}, and `ttc-rl train RECIPE` trains it again"
    # Its card and recipe are written anew by every report.
    files = [path for path in sorted(folder.model.iterdir()) if path.name not in (CARD, RECIPE)]
    check_vouched(folder.training, again, *files)
    load = functools.partial(_loaded, job, folder.model)
    return Policy(name, model_fingerprint(folder.model), load)


POLICIES: Sequence[Callable[[Job, str], Policy | None]] = (served, base, routed, trained)
"""The first that fits a model is how it answers. A new way is a function, and its place here."""


def _loaded(job: Job, model: Path | str) -> ModelCompleter:
    recipe = job.recipe
    return load_completer(model, recipe.prompts, recipe.engine, dtype=recipe.model.dtype)


class Models:
    """The policies of a run's evaluated models by name, at most one of them loaded."""

    def __init__(self, job: Job) -> None:
        self.policies = {name: policy_of(job, name) for name in evaluated(job.recipe)}
        self.loaded: tuple[str, ModelCompleter] | None = None

    def completer(self, name: str, decoding: Decoding) -> Completer:
        """Return what answers as the model of that name; another one is given up for it."""
        if self.loaded is None or self.loaded[0] != name:
            if self.loaded is not None:
                self.loaded[1].close()
            self.loaded = name, self.policies[name].load()
        return self.loaded[1].decoding_with(decoding)


def evaluated(recipe: Recipe) -> list[str]:
    """Return the names of the models to evaluate, base first. Raises UserError for a name without a
    model."""
    names = [BASE, *recipe.arm_names]
    for name in [*(recipe.eval.models or []), *recipe.engine.served]:
        if name not in names:
            raise UserError(
                f"eval.models: no model {name!r} in this run{did_you_mean(name, names)}"
            )
    models = recipe.eval.models or list(recipe.engine.served) or names
    missing = [name for name in models if recipe.engine.served and name not in recipe.engine.served]
    if missing:
        raise UserError(f"eval.engine.served: no name for {missing[0]}; say which it has there")
    return [name for name in names if name in models]


# --------------------------------------------------------------------------- several experts


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
        return EngineCompleter.load(
            base, Decoding(max_tokens=1), job.recipe.prompts, job.recipe.engine,
            Adapters(adapters, route(job, name), lora.rank), dtype=job.recipe.model.dtype,
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
        return tasks, _embedded(job, tasks)

    def of(tasks: Sequence[Task]) -> list[str]:
        strange = [task for task in tasks if task.id not in owner]
        if strange:
            routed, target_MD = targets()
            # The largest cosine, the first target in a tie.
            nearest_N = (_embedded(job, strange) @ target_MD.T).argmax(axis=1)
            near = zip(strange, nearest_N, strict=True)
            owner.update({task.id: owner[routed[m].id] for task, m in near})
        return [owner[task.id] for task in tasks]

    return of


def _embedded(job: Job, tasks: Sequence[Task]) -> np.ndarray:
    from ttc_rl.embed import POLICY, embed

    config = job.recipe.embedding
    policy = starting_model(job.recipe) if config.model == POLICY else None
    return np.asarray(embed(tasks, config, policy=policy)[:])
