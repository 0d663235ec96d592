"""LESS's warm-up: a few passes of Adam over a random share of the corpus, and what they leave.

Each pass leaves the weights, Adam's moments and its mean learning rate. After a kill it goes on
after the last pass that was written; the result is the same.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ttc_rl.config import LessConfig
from ttc_rl.selection.less.gradients import BETA1, BETA2, EPS, Differentiable, Example, Moments

logger = logging.getLogger(__name__)

SHARE, EPOCHS, BATCH = 0.05, 4, 32
"""Of the corpus, drawn at random; passes over it, each of which leaves a checkpoint; examples in a
step. The paper's."""


@dataclass(frozen=True)
class Checkpoint:
    """The model after one pass."""

    epoch: int
    weights: list[torch.Tensor]
    moments: Moments
    learning_rate: float
    """Mean over the pass's steps."""

    def load_into(self, model: Differentiable) -> None:
        with torch.no_grad():
            for parameter, value in zip(model.parameters, self.weights, strict=True):
                parameter.copy_(value)


def warm_up(
    model: Differentiable,
    examples: Sequence[Example],
    config: LessConfig,
    seed: int,
    folder: Path,
) -> list[Checkpoint]:
    """Return a checkpoint for each of the passes, from their files or trained now.

    The learning rate falls linearly: step t of T uses lr (1 - t / T). Gradients are clipped to 1.
    """
    optimizer = torch.optim.Adam(
        model.parameters, lr=config.warmup_learning_rate, betas=(BETA1, BETA2), eps=EPS
    )
    per_epoch = -(-len(examples) // BATCH)
    total = per_epoch * EPOCHS
    checkpoints: list[Checkpoint] = []
    for epoch in range(EPOCHS):
        path = folder / f"epoch-{epoch + 1}.pt"
        rates = [
            config.warmup_learning_rate * (1 - (epoch * per_epoch + i) / total)
            for i in range(per_epoch)
        ]
        if path.exists():
            state = torch.load(path, weights_only=True)
        else:
            order = random.Random(f"{seed} {epoch}").sample(range(len(examples)), len(examples))
            loss = 0.0
            for i, rate in enumerate(rates):
                batch = [examples[j] for j in order[i * BATCH :][:BATCH]]
                loss += _step(model, optimizer, batch, rate) / per_epoch
            state = {
                "weights": [p.detach().cpu().clone() for p in model.parameters],
                "optimizer": optimizer.state_dict(),
            }
            folder.mkdir(parents=True, exist_ok=True)
            torch.save(state, path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)
            logger.info(f"warm-up: pass {epoch + 1} of {EPOCHS}, loss {loss:.3f}")
        optimizer.load_state_dict(state["optimizer"])
        checkpoint = Checkpoint(
            epoch + 1,
            [value.clone() for value in state["weights"]],
            _moments(model, optimizer),
            sum(rates) / per_epoch,
        )
        checkpoint.load_into(model)
        checkpoints.append(checkpoint)
    return checkpoints


def _step(
    model: Differentiable, optimizer: torch.optim.Adam, batch: Sequence[Example], rate: float
) -> float:
    loss = model.loss(batch) / len(batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters, 1.0)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return loss.item()


def _moments(model: Differentiable, optimizer: torch.optim.Adam) -> Moments:
    states = [optimizer.state[parameter] for parameter in model.parameters]

    def flat(name: str) -> torch.Tensor:
        return torch.cat([state[name].flatten().float() for state in states]).cpu()

    return Moments(flat("exp_avg"), flat("exp_avg_sq"))
