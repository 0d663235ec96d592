"""A short supervised training of a base model on labelled tasks, by TRL's SFTTrainer: its warm-up.

A model that never writes an answer in a form that can be graded gets no reward, and learns nothing
by reinforcement. A few hundred right replies give it the form. The result is cached by a hash of
everything that determines it, and all arms of a run start from it.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttc_rl.config import WarmupConfig
from ttc_rl.config.marks import KEY
from ttc_rl.metrics.flops import Spent
from ttc_rl.run_dir import cache_dir, made_once, read_json, write_json
from ttc_rl.sampling.prompts import prompt_ids
from ttc_rl.schema import Task, UserError, content_hash
from ttc_rl.system.progress import time_left
from ttc_rl.system.ranks import world
from ttc_rl.system.versions import model_fingerprint
from ttc_rl.train.packaged import ORIGIN

logger = logging.getLogger(__name__)

WARMUP = "warmup.json"
"""File in a warmed-up model's folder: on what, how, and what it took."""
WARMUP_VERSION = 1
"""Part of the cache key: raise it when the code below changes what comes out."""
BETAS = 0.9, 0.98
BATCH = 8
"""Tasks a step: some forty steps over the usual 320, and little memory."""


@dataclass(frozen=True)
class Reply:
    """A task and the text that a model is to write for it."""

    task: Task
    text: str


def warmed_up(
    base: Path | str,
    replies: Sequence[Reply],
    config: WarmupConfig,
    seed: int,
    templates: Mapping[str, str],
    *,
    dtype: str | None,
) -> Path:
    """Return the folder of `base` after a pass over the replies, from the cache or made now.

    The loss is the mean over the reply's tokens, end token included; the prompt's do not count.
    """
    import torch

    key = content_hash(
        [
            WARMUP_VERSION,
            torch.__version__,
            model_fingerprint(base),
            [[reply.task.id, reply.text, *reply.task.meta.get(KEY, [])[:1]] for reply in replies],
            config.model_dump(exclude={"source", "tasks"}) | {"batch": BATCH},
            seed,
            dict(templates),
            dtype,
        ]
    )
    folder = cache_dir() / "models" / f"warmup-{key}"
    if (folder / WARMUP).exists():
        logger.info(f"warm-up {key}: cached")
    elif world() > 1:
        raise UserError("model.warmup: is made by one process; `ttc-rl select RECIPE` does it")

    def make(beside: Path) -> None:
        logger.info(f"warm-up {key}: {len(replies)} labelled tasks, {config.epochs} times")
        with tempfile.TemporaryDirectory() as scratch:
            log, spent = _train(
                base, replies, config, seed, templates, dtype, beside, Path(scratch)
            )
        if (Path(base) / ORIGIN).exists():
            write_json(beside / ORIGIN, read_json(Path(base) / ORIGIN))
        about = {"config": config.model_dump(), "seed": seed, "tasks": len(replies)}
        write_json(beside / WARMUP, about | {"compute": spent.as_dict(), "log": log})

    return made_once(folder, WARMUP, make)


def warmup_of(model: Path | str) -> dict[str, Any] | None:
    """Return what warmup.json in a model's folder says; None for a model without a warm-up."""
    path = Path(model) / WARMUP
    return read_json(path) if path.is_file() else None


def _train(
    base: Path | str,
    replies: Sequence[Reply],
    config: WarmupConfig,
    seed: int,
    templates: Mapping[str, str],
    dtype: str | None,
    folder: Path,
    scratch: Path,
) -> tuple[list[dict[str, float]], Spent]:
    from datasets import Dataset
    from transformers import AutoTokenizer, set_seed
    from transformers.trainer_callback import PrinterCallback, TrainerCallback
    from transformers.utils.logging import disable_progress_bar
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from ttc_rl.train.hardware import hardware_fields

    log: list[dict[str, float]] = []
    began = time.monotonic()

    class Progress(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                log.append({"step": state.global_step, "loss": logs["loss"]})
                left = time_left(state.global_step, steps, time.monotonic() - began)
                logger.info(
                    f"warm-up: step {state.global_step} of {steps}, loss {logs['loss']:.3f}{left}"
                )

    disable_progress_bar()
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    rows = [labelled_row(reply, templates, tokenizer) for reply in replies]
    steps = config.epochs * -(-len(rows) // BATCH)
    trainer = SFTTrainer(
        model=str(base),
        args=SFTConfig(
            output_dir=str(scratch),
            per_device_train_batch_size=BATCH,
            num_train_epochs=config.epochs,
            learning_rate=config.learning_rate,
            lr_scheduler_type="linear",
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            max_grad_norm=1.0,
            max_length=None,
            seed=seed,
            data_seed=seed,
            **hardware_fields(SFTConfig, dtype),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_steps=max(1, steps // 10),
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Progress()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_model(str(folder))
    tokenizer.save_pretrained(folder)
    model: Any = trainer.model
    spent = Spent(sum(p.numel() for p in model.parameters()))
    spent.differentiated(config.epochs * sum(len(row["input_ids"]) for row in rows))
    return log, spent


def reply_ids(tokenizer: Any, reply: tuple[str, bool]) -> list[int]:
    """Return the tokens of a completion; the end token follows where it ended by itself."""
    text, ended = reply
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id] if ended else ids


def labelled_row(
    reply: Reply, templates: Mapping[str, Any], tokenizer: Any
) -> dict[str, list[int]]:
    """Return the token ids of prompt and reply as generation sees them, and the labels of the reply
    alone."""
    prompt = prompt_ids(reply.task, templates, tokenizer)
    written = reply_ids(tokenizer, (reply.text, True))
    return {"input_ids": [*prompt, *written], "labels": [-100] * len(prompt) + written}
