"""TRL's SDPOTrainer with our ledger's rewards and verdicts, and a teacher that survives a kill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from trl.experimental.sdpo import SDPOTrainer
from trl.experimental.sdpo.sdpo_trainer import SuccessfulRolloutTeacherContextBuilder

from ttc_rl.schema import Rollout
from ttc_rl.train.methods.grpo_reward import Ledger

# P tasks a step, G rollouts a task.
TEACHER = "teacher.safetensors"
"""Of a checkpoint: the averaged weights of the teacher."""
TOKENS = "tokens/scored"
"""Of a step's log: tokens that the teacher read."""


class TaughtTrainer(SDPOTrainer):
    def __init__(
        self, *, ledger: Ledger, feedback: Callable[[Rollout], str], **options: Any
    ) -> None:
        """Take rewards from the ledger, and tell the teacher `feedback` of each rollout.

        TRL's own feedback comes from the data set, which is there before the rollout.
        """

        def verified_reward(**given: Any) -> list[float | None]:
            return ledger.verified_reward(log_metric=self._note, **given)

        super().__init__(reward_funcs=verified_reward, **options)
        self.ledger, self.feedback = ledger, feedback
        self.teacher_context_builder = _Told(self)
        self.undecided = torch.zeros(0, dtype=torch.bool)
        """Which of this process's rollouts have no verdict."""

    def _note(self, name: str, value: float) -> None:
        self._metrics["train"][name].append(value)

    def sample_rollouts(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().sample_rollouts(inputs)
        tokens: Any = batch["prompt_mask"].sum() + batch["raw_completion_lengths"].sum()
        gathered: Any = self.accelerator.gather(tokens)
        self.state.num_input_tokens_seen += int(gathered.sum())
        self._metrics["train"]["num_tokens"] = [self.state.num_input_tokens_seen]
        return batch

    def _calculate_rewards(self, *arguments: Any, **options: Any) -> torch.Tensor:
        """Return all rewards, the mean of its group for an undecided one: TRL would take 0."""
        rewards: Any = super()._calculate_rewards(*arguments, **options)
        groups_PG = rewards.view(-1, self.num_generations)
        mean_P1 = groups_PG.nanmean(dim=1, keepdim=True).nan_to_num(0.0)
        mine, count = self.accelerator.process_index, len(self.ledger.rolled)
        self.undecided = rewards[mine * count : (mine + 1) * count, 0].isnan()
        return groups_PG.where(~groups_PG.isnan(), mean_P1).view_as(rewards)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        args: Any = self.args
        if args.teacher_model_kind == "ema" and self.accelerator.is_main_process:
            folder = Path(args.output_dir) / f"checkpoint-{self.state.global_step}"
            save_model(self._own_teacher(), str(folder / TEACHER))

    def load_teacher(self, checkpoint: Path) -> None:
        """Go on with the averaged teacher that a checkpoint holds."""
        load_model(self._own_teacher(), str(checkpoint / TEACHER))

    def _own_teacher(self) -> Any:
        return self.accelerator.unwrap_model(self.teacher_model)


class _Told(SuccessfulRolloutTeacherContextBuilder):
    def build(
        self, output: Any, prompts: Any, rewards: Any, feedbacks: Any = None
    ) -> dict[str, Any]:
        trainer: TaughtTrainer = self.trainer
        said = [trainer.feedback(rollout) for rollout in trainer.ledger.rolled]
        # The mean of its group, which stands for an undecided one, would make it a success.
        known = rewards.where(~trainer.undecided, torch.zeros_like(rewards))
        context: Any = super().build(output, prompts, known, said)
        read: Any = trainer.accelerator.gather(context["teacher_attention_mask"].sum())
        self.last_metrics[TOKENS] = float(read.sum())
        return context
