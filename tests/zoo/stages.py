"""What a user does with a model, stage by stage, each checked; on two steps of four tokens.

The reward is made of a completion's text, so that random models have something to learn from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from ttc_rl.config import Recipe
from ttc_rl.run_dir import ArmDir, RunDir, read_json, read_jsonl
from ttc_rl.sampling.prompts import prompt_ids
from ttc_rl.schema import Task, Verdict
from ttc_rl.stages import run as pipeline
from ttc_rl.stages.job import Job
from ttc_rl.train.callbacks import Progress
from ttc_rl.train.limits import ends

ADAPTERS: Mapping[str, dict[str, Any]] = {"all weights": {}, "LoRA": {"lora": {"rank": 2}}}
QUESTIONS = [
    f"What is {a} times {b}?" for a, b in ((3, 4), (12, 5), (7, 70), (9, 1), (2, 8), (6, 6))
]


def by_hash(task: Task, completion: str) -> Verdict:
    share = int.from_bytes(hashlib.sha256(completion.encode()).digest()[:4]) / 2**32
    return Verdict(share > 0.5, completion, share=share)


def undecided(task: Task, completion: str) -> Verdict:
    return Verdict(None, None)


def recipe(model: Path, folder: Path, kind: str = "hashed", **train: Any) -> Recipe:
    tasks = [{"kind": kind, "prompt": text, "gold": "-"} for text in QUESTIONS]
    corpus, target = folder / "corpus.jsonl", folder / "target.jsonl"
    corpus.write_text("".join(json.dumps(task) + "\n" for task in tasks[:4]))
    target.write_text("".join(json.dumps(task) + "\n" for task in tasks[4:]))
    small = {"tasks_per_step": 2, "rollouts_per_task": 4, "max_completion_tokens": 4}
    schedule = {
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 1,
    }
    trl = {"learning_rate": 1e-2, **schedule}
    return Recipe.model_validate(
        {
            "model": str(model),
            "corpus": str(corpus),
            "target": str(target),
            "verifiers": {"hashed": f"{__name__}:by_hash", "open": f"{__name__}:undecided"},
            "embed": {"model": "policy"},
            "selection": {"size": 4},
            "train": {**small, "reward": "partial", "save_steps": 1, "trl": trl, **train},
            "eval": {"retention": [], "samples": 2, "k": [1], "max_tokens": 4},
        }
    )


@dataclass
class Walk:
    """One model on its way through the stages; each raises where something is not as it should."""

    job: Job
    seen: list[list[int]]
    """Prompts as TRL tokenized them."""
    ends: set[int]
    """What TRL takes for end tokens."""
    weights: dict[str, torch.Tensor]
    """After the last step of a training that was then interrupted."""

    @classmethod
    def begin(cls, model: Path, folder: Path, adapter: str) -> Walk:
        made = recipe(model, folder, **ADAPTERS[adapter])
        return cls(Job(made, RunDir.open(folder / "run", made)), [], set(), {})

    @property
    def arm(self) -> ArmDir:
        return self.job.arm("sift")[1]

    def select(self) -> None:
        """With the model's own embeddings."""
        pipeline.select(self.job)
        assert len(list(read_jsonl(self.arm.curriculum))) == 4

    def train(self) -> None:
        """Two steps, the first at a learning rate of 0; interrupted before the second is saved."""
        tokenize, log = GRPOTrainer._tokenize_prompts, Progress.on_log

        def watched(trainer: Any, prompts: Any) -> Any:
            found = tokenize(trainer, prompts)
            self.seen += found[0]
            self.ends = set(trainer.eos_token_ids)
            return found

        def interrupted(self_: Any, args: Any, state: Any, control: Any, **given: Any) -> None:
            log(self_, args, state, control, **given)
            if state.global_step == 2:
                self.weights = trained(given["model"])
                raise KeyboardInterrupt

        with (
            patch.object(GRPOTrainer, "_tokenize_prompts", watched),
            patch.object(Progress, "on_log", interrupted),
            contextlib.suppress(KeyboardInterrupt),
        ):
            pipeline.train(self.job)
        rates = [row["learning_rate"] for row in read_jsonl(self.arm.metrics)]
        assert rates == [0.0, 1e-2]
        assert not list(read_jsonl(self.arm.alarms))
        tokenizer = AutoTokenizer.from_pretrained(self.job.recipe.model.path)
        assert self.ends == ends(self.job.recipe.model.path, tokenizer)
        tasks = [Task(**row["task"]) for row in read_jsonl(self.arm.curriculum)]
        ours = {tuple(prompt_ids(task, {}, tokenizer)) for task in tasks}
        assert {tuple(ids) for ids in self.seen} == ours  # as an evaluation reads them, one BOS
        for ids in ours:
            assert ids.count(tokenizer.bos_token_id) <= 1 or tokenizer.bos_token == "<|im_start|>"

    def resume(self) -> None:
        """From the first step's checkpoint to the very weights of before."""
        pipeline.train(self.job)
        model: Any = AutoModelForCausalLM.from_pretrained(self.job.recipe.model.path)
        if self.job.recipe.train.lora:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, self.arm.adapter, is_trainable=True)
        else:
            model = AutoModelForCausalLM.from_pretrained(self.arm.model)
        again = trained(model)
        assert again.keys() == self.weights.keys()
        assert all(torch.equal(value, again[name]) for name, value in self.weights.items())

    def evaluate(self) -> None:
        """Base and trained model, by transformers."""
        pipeline.evaluate(self.job)
        for name in ("base", "sift"):
            result = read_json(self.job.run.result("target", name))
            assert (result["tasks"], result["samples"]) == (2, 2)
            for row in read_jsonl(self.job.run.samples("target", name)):
                assert row["finish_reason"] in ("stop", "length")
                assert 1 <= row["tokens"] <= 4

    def load(self) -> None:
        """The model left, by transformers alone: it differs from the base and generates."""
        base: Any = AutoModelForCausalLM.from_pretrained(self.job.recipe.model.path)
        model: Any = AutoModelForCausalLM.from_pretrained(self.arm.model)
        tokenizer = AutoTokenizer.from_pretrained(self.arm.model)
        before, after = base.state_dict(), model.state_dict()
        assert before.keys() == after.keys()
        assert any(not torch.equal(before[name], after[name]) for name in before)
        config = GenerationConfig.from_pretrained(self.arm.model)
        assert config.eos_token_id == base.generation_config.eos_token_id
        batch = tokenizer("What is 2 times 3?", return_tensors="pt", return_token_type_ids=False)
        written = model.generate(**batch, max_new_tokens=3, do_sample=False)
        assert written.shape[1] > batch["input_ids"].shape[1]


def trained(model: Any) -> dict[str, torch.Tensor]:
    named = model.named_parameters()
    return {name: p.detach().clone() for name, p in named if p.requires_grad}


STAGES: Mapping[str, Callable[[Walk], None]] = {
    "selects": Walk.select,
    "trains": Walk.train,
    "resumes": Walk.resume,
    "evaluates": Walk.evaluate,
    "loads": Walk.load,
}
