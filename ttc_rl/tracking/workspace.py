"""A ready-made W&B workspace for a recipe's runs: one panel for each question about them.

Which panels there are follows from the recipe, so that none stays empty. `shown` is plain data;
`save_workspace` makes it wandb-workspaces' and sends it. Each call saves a new view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ttc_rl.config import Recipe
from ttc_rl.schema import UserError
from ttc_rl.system.install import install
from ttc_rl.tracking.wandb_run import TOKENS

STEPS = "train/global_step"
"""W&B's own Step counts calls of log; this counts optimiser updates."""
FOLLOWED = ("achievability", "pool_achievability", "never_solved", "shift", "reselections")
"""What each curriculum that follows the model tells (ttc_rl/curriculum)."""
CLIPPED = {
    "cispo": ("cispo_clip_ratio",),
    "vespo": ("vespo/phi_seq_mean",),
    **dict.fromkeys(
        ("grpo", "bnpo", "dr_grpo", "dapo", "luspo"),
        ("clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean"),
    ),
}
"""What TRL 1.16's GRPOTrainer logs about clipping, by `loss_type`."""
RATIO = "sampling/importance_sampling_ratio"


@dataclass(frozen=True)
class Shown:
    """One panel: metrics over an x-axis, or as bars of their last values where there is none."""

    title: str
    names: tuple[str, ...]
    x: str | None = STEPS


def shown(recipe: Recipe, results: Mapping[str, Sequence[str]]) -> dict[str, list[Shown]]:
    """Return section -> its panels, over all arms. `results` says which benchmark has which
    metrics."""
    panels_of: dict[str, dict[Shown, None]] = {}
    for name in recipe.arm_names:
        for section, panels in _of_arm(recipe.arm(name)).items():
            panels_of.setdefault(section, {}).update(dict.fromkeys(panels))
    for benchmark, metrics in results.items():
        for metric in metrics:
            name = f"eval/{benchmark}/{metric}"
            bars = Shown(f"{metric} on {benchmark}", (f"{name}_lo", name, f"{name}_hi"), None)
            panels_of["Evaluation"][bars] = None
    return {section: list(panels) for section, panels in panels_of.items() if panels}


def _of_arm(recipe: Recipe) -> dict[str, list[Shown]]:
    train, dev = recipe.train, "eval/dev"
    lengths = ("mean_length", "max_length")
    return {
        "Reward": [
            _train("reward over steps", "reward", "rewards/verified_reward/mean"),
            _train("reward over generated tokens", "reward", x=TOKENS),
            _train("spread of rewards", "reward_std"),
            *_votes(recipe),
        ],
        "Curriculum": [*_curriculum(recipe), *_guard(recipe)],
        "Evaluation": [
            Shown("dev tasks solved", (f"{dev}/avg@{train.dev.samples}",), TOKENS),
            Shown("dev: cut, silent, undecided", tuple(
                f"{dev}/{rate}" for rate in ("truncated", "no_answer", "undecided")
            ), TOKENS),
        ] if train.dev else [],
        "Health": _health(recipe),
        "Time and memory": [
            _train("seconds a step", "step_time"),
            _train("seconds of verifying", "time/verify"),
            _train("peak GPU memory, GB", "memory/peak_gb"),
        ],
        "Tokens": [
            _train("generated tokens", "tokens/generated"),
            _train("tokens of a completion", *(f"completions/{length}" for length in lengths)),
            _train("completions cut at the limit", "completions/clipped_ratio"),
        ],
    }  # fmt: skip


def _train(title: str, *names: str, x: str = STEPS) -> Shown:
    return Shown(title, tuple(f"train/{name}" for name in names), x)


def _votes(recipe: Recipe) -> list[Shown]:
    """Return panels of the groups that got a label by vote, where rewards come from agreement."""
    votes = {"majority": recipe.train.majority, "ttrl": recipe.train.ttrl}
    return [
        _train(f"{name}: groups with a label", f"{name}/groups", f"{name}/labelled")
        for name, config in votes.items()
        if config
    ]


def _curriculum(recipe: Recipe) -> list[Shown]:
    rates = ("no_answer", "timeout", "infra_error")
    panels = [_train("verdicts that are none", *(f"curriculum/{rate}_rate" for rate in rates))]
    if not recipe.train.follows:
        return panels
    names, method = ["flat", "never_solved"], recipe.train.curriculum.method
    if method != "static":
        names += [name for name in FOLLOWED if name not in names]
    if method == "discover":
        names.append("relevance")
    titles = {
        "flat": "groups with one reward only",
        "achievability": "solve rate expected of the chosen tasks",
        "pool_achievability": "solve rate expected of the whole pool",
        "never_solved": "trained tasks that were never solved",
    }
    return panels + [_train(titles.get(name, name), f"curriculum/{name}") for name in names]


def _guard(recipe: Recipe) -> list[Shown]:
    if recipe.train.guard is None:
        return []
    panel = _train("groups dropped, learning rate left", "guard/dropped", "guard/shrink")
    return [panel]


def _health(recipe: Recipe) -> list[Shown]:
    train = recipe.train
    panels = [
        _train("groups without spread", "frac_reward_zero_std"),
        _train("gradient norm", "grad_norm"),
        _train("entropy", "entropy"),
        _train("loss", "loss"),
        _train("learning rate", "learning_rate"),
    ]
    if clipped := CLIPPED.get(train.trl.get("loss_type", "dapo")):
        panels.append(_train("clipped", *clipped))
    if train.trl.get("beta"):
        panels.append(_train("KL to the base model", "kl"))
    if train.vllm and train.trl.get("vllm_importance_sampling_correction", True):
        gap = "sampling/sampling_logp_difference"
        panels += [
            _train("sampler and trainer apart, nats", f"{gap}/mean", f"{gap}/max"),
            _train("importance ratio", *(f"{RATIO}/{end}" for end in ("min", "mean", "max"))),
        ]
    return panels


# --------------------------------------------------------------------------- at W&B


def save_workspace(recipe: Recipe, entity: str, results: Mapping[str, Sequence[str]]) -> str:
    """Save a new view of project `track.project`; return its address. Raises UserError without a
    login."""
    try:
        import wandb
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError
    except ImportError:
        raise UserError(f"workspace needs W&B: {install('wandb')}") from None
    try:
        logged_in = wandb.login(prompt=False)
    except wandb.Error as error:
        raise UserError(f"workspace: W&B refuses the login: {error}") from None
    if not logged_in:
        raise UserError("workspace: not logged in to W&B; `wandb login` or WANDB_API_KEY first")

    def panel(shown_panel: Shown) -> Any:
        if shown_panel.x is None:
            return reports.BarPlot(title=shown_panel.title, metrics=list(shown_panel.names))
        return reports.LinePlot(title=shown_panel.title, x=shown_panel.x, y=list(shown_panel.names))

    workspace = workspaces.Workspace(
        entity=entity,
        project=recipe.track.project,
        name="ttc-rl",
        sections=[
            workspaces.Section(name=name, panels=[panel(one) for one in panels], is_open=True)
            for name, panels in shown(recipe, results).items()
        ],
    )
    try:
        return workspace.save().url
    except (wandb.Error, WandbApiFailedError) as error:
        at = f"{entity}/{recipe.track.project}"
        raise UserError(f"workspace: W&B does not save it in {at}: {error}") from None
