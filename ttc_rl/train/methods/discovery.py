"""Training on one problem, to find the best answer to it there is (TTT-Discover, arXiv 2601.16175).

TRL's GRPOTrainer draws and updates. Each group of completions goes on from an answer that the
archive names; advantages are those of the entropic objective, which grows with the best of a group
rather than its mean. What counts in the end is the best answer ever given, not the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.utils.logging import disable_progress_bar
from trl.trainer.grpo_config import GRPOConfig

from ttc_rl.config.discovery import DiscoveryStudy, Way
from ttc_rl.run_dir import ArmDir, write_json
from ttc_rl.sampling.prompts import read_completion
from ttc_rl.schema import UserError
from ttc_rl.system.peft_warnings import ignore_warnings_of_peft
from ttc_rl.train.checkpoints import MarkComplete, newest_checkpoint
from ttc_rl.train.curriculum.archive import Archive
from ttc_rl.train.entropic import entropic_advantages
from ttc_rl.train.hardware import hardware_fields
from ttc_rl.train.limits import ends
from ttc_rl.train.methods.grpo_following import Director, FollowingTrainer, restore
from ttc_rl.train.methods.trl_compat import check_trl, engine_made_with, seed_requests
from ttc_rl.train.weights.adapters import loading, peft_config

# P groups a step, G completions a group.
Score = Callable[[Mapping[str, Any], str], tuple[str, float] | None]
"""A problem's row and a completion -> the answer in it and its value, or None."""


@dataclass(frozen=True)
class Problem:
    """One problem, and how a completion is scored."""

    row: Mapping[str, Any]
    score: Score
    floor: float

    def answer(self, completion: str) -> tuple[str, float] | None:
        """Return the answer in a completion and its value. Raises UserError where the function
        returns something else, or a value below the floor."""
        found: Any = self.score(self.row, completion)
        if found is None:
            return None
        try:
            text, value = found
            value = float(value)
        except (TypeError, ValueError):
            raise UserError(
                f"score: returned {found!r:.80} for problem {self.row['id']}; return "
                "(answer, value), or None where there is no answer"
            ) from None
        if not np.isfinite(value) or value < self.floor:
            raise UserError(
                f"score: {value} for problem {self.row['id']}; a value is finite and at least "
                f"floor, {self.floor}, which a completion without an answer pays"
            )
        return str(text), value

    def prompt(self, answer: str, value: float) -> str:
        """Return the prompt that goes on from an answer."""
        filled = str(self.row["prompt"]).replace("{value}", f"{value:.6g}")
        return filled.replace("{answer}", answer)


def discover(
    study: DiscoveryStudy,
    problem: Problem,
    way: Way,
    base: Path | str,
    folder: ArmDir,
    start: str,
) -> Archive:
    """Return what was found for one problem; goes on from the folder's newest checkpoint.

    The best answer so far stands in the folder's best.json after every step. Ways that do not train
    take the same steps, at a learning rate of 0. `start` stands where there is no answer to go on
    from yet.
    """
    check_trl("grpo")
    disable_progress_bar()
    ignore_warnings_of_peft()
    tokenizer: Any = AutoTokenizer.from_pretrained(base, padding_side="left")
    archive = _archive(study, problem, way, start)
    checkpoint, step = newest_checkpoint(folder)
    weigh = None if way == "mean" else partial(entropic_advantages, tilt=study.tilt)
    director = Director(
        archive,
        lambda number: _asked(problem, archive, int(number), tokenizer),
        None,
        study.groups,
        weigh,
        rollouts=study.rollouts,
    )
    restore(director, checkpoint, step)
    set_seed(study.seed)  # an adapter is drawn before TRL sets the seed
    with engine_made_with(study.seed, {}):
        trainer = FollowingTrainer(
            director=director,
            model=str(base),
            reward_funcs=_reward(
                problem, archive, tokenizer, ends(base, tokenizer), study.rollouts
            ),
            args=_config(study, way, folder),
            train_dataset=Dataset.from_list([{"prompt": "", "task_id": ""}] * study.groups),
            processing_class=tokenizer,
            peft_config=peft_config(study.lora),
            callbacks=[_BestSoFar(archive, folder.root / "best.json"), MarkComplete(folder)],
        )
    seed_requests(trainer, study.seed)
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return archive


def _archive(study: DiscoveryStudy, problem: Problem, way: Way, start: str) -> Archive:
    """Return one with the problem's own starting answers, else with none to go on from."""
    starts: list[tuple[str, float]] = []
    given: Any = problem.row.get("start", [])
    if not isinstance(given, list):
        raise UserError(f"problem {problem.row['id']}: start: {given!r:.80} is no list of answers")
    for text in given:
        found = problem.answer(text)
        if found is None:
            raise UserError(f"problem {problem.row['id']}: start: no answer in {text!r:.80}")
        starts.append(found)
    return Archive(
        starts or [(start, study.floor)],
        reuse=way in ("reuse", "mean", "discover"),
        exploration=study.exploration,
        children=study.children,
        most=study.archive,
    )


def _asked(problem: Problem, archive: Archive, number: int, tokenizer: Any) -> Any:
    """Return a prompt as TRL takes it."""
    answer = archive.answers[number]
    text = problem.prompt(answer.text, answer.value)
    return text if tokenizer.chat_template is None else [{"role": "user", "content": text}]


def _reward(
    problem: Problem, archive: Archive, tokenizer: Any, ended: frozenset[int], group: int
) -> Callable[..., list[float]]:
    """Return TRL's reward function, which tells the archive what was found."""

    def value_of_answer(
        completion_ids: Sequence[Sequence[int]], task_id: Sequence[str], **_: Any
    ) -> list[float]:
        read = [read_completion(ids, ended, tokenizer) for ids in completion_ids]
        found = [problem.answer(text) if whole else None for text, whole in read]
        for first in range(0, len(found), group):
            archive.found(int(task_id[first]), found[first : first + group])
        return [problem.floor if answer is None else answer[1] for answer in found]

    return value_of_answer


def _config(study: DiscoveryStudy, way: Way, folder: ArmDir) -> GRPOConfig:
    """Return TRL's config. Raises UserError where TRL refuses the study's `trl`."""
    completions = study.groups * study.rollouts
    ours: dict[str, Any] = {
        "output_dir": str(folder.checkpoints),
        "max_steps": study.steps,
        "seed": study.seed,
        "data_seed": study.seed,
        "save_steps": study.save_steps,
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "per_device_train_batch_size": completions,
        "steps_per_generation": 1,
        "num_generations": study.rollouts,
        "max_completion_length": study.max_completion_tokens,
        "shuffle_dataset": False,
        "learning_rate": study.learning_rate,
        "lr_scheduler_type": "constant",
        "beta": study.kl,
    } | hardware_fields(GRPOConfig, study.dtype)
    if loaded := loading(study.lora):
        ours["model_init_kwargs"] = loaded
    ours |= study.trl
    if way in ("best-of-n", "reuse"):
        ours |= {"learning_rate": 0.0, "weight_decay": 0.0}
    try:
        return GRPOConfig(**ours)
    except (TypeError, ValueError, ImportError) as error:
        raise UserError(f"trl: TRL's GRPOConfig says: {str(error).splitlines()[0]}") from None


class _BestSoFar(TrainerCallback):
    """Keeps the best answer of all on disk after every step."""

    def __init__(self, archive: Archive, path: Path) -> None:
        self.archive, self.path = archive, path

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        best = self.archive.best
        self.archive.curve.append(None if best is None else best[1])
        if best is not None:
            write_json(self.path, {"answer": best[0], "value": best[1], "step": state.global_step})
