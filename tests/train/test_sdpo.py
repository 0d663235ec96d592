"""Self-distillation with feedback: what the teacher reads, and that a killed training goes on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ttc_eval.compare.spending import _passes
from ttc_rl.config import Recipe, SkillsConfig, make_recipe
from ttc_rl.corpus.skills import make_skills
from ttc_rl.run_dir import ArmDir, read_jsonl
from ttc_rl.schema import Rollout, Task, UserError, Verdict
from ttc_rl.stages.job import starting_model
from ttc_rl.train import loop
from ttc_rl.train.curriculum import plan
from ttc_rl.train.methods import grpo_reward, sdpo
from ttc_rl.train.methods.sdpo import feedback
from ttc_rl.train.methods.sdpo_trainer import TaughtTrainer
from ttc_rl.verifiers import BUILT_IN, verify

TASKS = make_skills(SkillsConfig(families=["reverse"], tasks_per_family=8, levels=[1]))
BY_ID = {task.id: task for task in TASKS}
TINY = {"skills": None, "hidden": 32, "layers": 1, "mlp": 64}


def recipe(**train: Any) -> Recipe:
    return make_recipe(
        {
            "model": {"pretrain": TINY},
            "corpus": "c.jsonl",
            "target": "aime25",
            "prompts": {"exact": "{prompt} =>"},
            "train": {
                "method": "sdpo",
                "tasks_per_step": 4,
                "rollouts_per_task": 4,
                "max_completion_tokens": 8,
                "save_steps": 2,
                "epochs": 2,
                "trl": {"learning_rate": 1e-3, "lr_scheduler_type": "constant"},
                **train,
            },
        }
    )


class Verdicts:
    """Every second completion right, every fourth undecided: random weights solve nothing."""

    voting = BUILT_IN.voting
    kind_of = staticmethod(BUILT_IN.kind_of)
    pays_shares = staticmethod(BUILT_IN.pays_shares)

    def verify_many(self, tasks: Any, texts: Any) -> list[Verdict]:
        kinds: list[bool | None] = [True, False, True, None]
        return [Verdict(kinds[i % 4], f"answer {i}") for i in range(len(texts))]


def train(made: Recipe, folder: Path, **options: Any) -> ArmDir:
    arm, order = ArmDir(folder), plan([task.id for task in TASKS], made.train)
    graders: Any = Verdicts()
    loop.train(
        made, order, BY_ID, starting_model(made), arm, track=False, graders=graders, **options
    )
    return arm


def weights(arm: ArmDir) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(arm.model).state_dict()


@pytest.mark.parametrize("more", [{}, {"lora": {"rank": 4}}], ids=["all weights", "lora"])
def test_it_trains_in_order_and_counts_what_it_read(
    more: dict[str, Any], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    read: list[tuple[list[str], torch.Tensor]] = []

    real = TaughtTrainer._prepare_training_batch

    def watched(self: TaughtTrainer, inputs: Any) -> Any:
        batch = real(self, inputs)
        texts = self.processing_class.batch_decode(batch["teacher_input_ids"])
        read.append((texts, batch["self_distillation_mask"]))
        return batch

    monkeypatch.setattr(TaughtTrainer, "_prepare_training_batch", watched)
    words = {
        "feedback_template": " no: {feedback_raw}",
        "solution_template": " so {successful_previous_attempt} ",
    }
    trl = {"learning_rate": 1e-2, "reprompt_template": "{feedback}{solution}{prompt}", **words}
    made = recipe(**more, trl=trl)
    arm = train(made, tmp_path)
    rows = list(read_jsonl(arm.metrics, "step"))
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(row[sdpo.SIGNAL] == pytest.approx(2 / 3) for row in rows)
    assert all(row[sdpo.TAUGHT] == 1 for row in rows)  # each group has another right rollout
    assert len(read) == 4
    tokens = sum(row["tokens/scored"] for row in rows)
    assert tokens > rows[-1]["num_tokens"]  # the teacher reads more than the student
    forward, learned = _passes(made.train, int(rows[-1]["num_tokens"]), tokens)
    assert (forward, learned) == (rows[-1]["num_tokens"] + tokens, rows[-1]["num_tokens"])
    before = AutoModelForCausalLM.from_pretrained(starting_model(made)).state_dict()
    assert any(not torch.equal(before[name], after) for name, after in weights(arm).items())


def test_the_teacher_is_told_of_each_rollout_what_its_verifier_said(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    told: list[tuple[list[str], list[float]]] = []
    from trl.experimental.sdpo import sdpo_trainer

    real = sdpo_trainer.SuccessfulRolloutTeacherContextBuilder.build

    def build(self: Any, output: Any, prompts: Any, rewards: Any, feedbacks: Any = None) -> Any:
        told.append((feedbacks, rewards.tolist()))
        return real(self, output, prompts, rewards, feedbacks)

    monkeypatch.setattr(sdpo_trainer.SuccessfulRolloutTeacherContextBuilder, "build", build)
    ledgers: list[grpo_reward.Ledger] = []
    ledger = grpo_reward.Ledger.__init__

    def kept(self: Any, *arguments: Any, **options: Any) -> None:
        ledger(self, *arguments, **options)
        ledgers.append(self)

    monkeypatch.setattr(grpo_reward.Ledger, "__init__", kept)
    train(recipe(epochs=1), tmp_path)
    assert len(told) == 2
    said, rewards = told[-1]
    assert rewards == [1, 0, 1, 0] * 4  # the undecided one is no success
    cut = "It was cut at the limit of its length, before its end."
    for rollout, words in zip(ledgers[0].rolled, said, strict=True):
        wrong = f"Its answer, {rollout.verdict.answer}, is wrong."
        expected = cut if rollout.finish_reason == "length" else wrong
        assert words == (expected if rollout.verdict.correct is False else "")


def test_undecided_rollouts_neither_pay_nor_cost(tmp_path: Path, cache: Path):
    """With a policy gradient beside it, TRL would count an undecided rollout as a wrong one."""
    from trl.experimental.sdpo import SDPOTrainer

    seen: list[torch.Tensor] = []
    real = SDPOTrainer._compute_policy_loss

    def loss(self: Any, inputs: Any, logits: Any) -> torch.Tensor:
        seen.append(inputs["advantages"])
        return real(self, inputs, logits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SDPOTrainer, "_compute_policy_loss", loss)
        train(recipe(epochs=1, trl={"distillation_weight": 0.5}), tmp_path)
    advantages = seen[0].view(-1, 4)
    assert advantages[:, 3].abs().max() == 0
    assert (advantages[:, 0] > 0).all()
    assert (advantages[:, 1] < 0).all()


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, cache: Path):
    made = recipe(epochs=3)
    whole = train(made, tmp_path / "whole")

    class Killed(Exception):
        pass

    class AtStepThree(loop.Progress):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 3:
                raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Progress", AtStepThree)
        with pytest.raises(Killed):
            train(made, tmp_path / "broken")
    broken = train(made, tmp_path / "broken")
    first, second = weights(whole), weights(broken)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_averaged_teacher_of_an_adapter_is_refused(tmp_path: Path, cache: Path):
    made = recipe(lora={"rank": 2}, trl={"teacher_model_kind": "ema"})
    with pytest.raises(UserError, match=r"teacher_model_kind: ema keeps a second adapter"):
        train(made, tmp_path)


# --------------------------------------------------------------------------- what is said


def rollout(task: Task, text: str, verdict: Verdict, finish: Any = "stop") -> Rollout:
    return Rollout(task.id, text, finish, 3, verdict, 0.0)


def test_feedback_tells_what_failed_and_never_a_gold():
    add = Task(
        "code", "Add two numbers.", tests=({"type": "stdin", "input": "1 2", "output": "3"},)
    )
    program = "```python\nprint(4)\n```"
    said = feedback(rollout(add, program, verify(add, program)), add)
    assert "4" in said
    assert "3" in said  # what a failing test expected is the feedback
    sums = Task("math", "1 + 1?", "2")
    for text, words in ((r"\boxed{3}", "Its answer, 3, is wrong."), ("three", "No answer could")):
        said = feedback(rollout(sums, text, verify(sums, text)), sums)
        assert said.startswith(words)
        assert "2" not in said
    right = r"\boxed{2}"
    assert feedback(rollout(sums, right, verify(sums, right)), sums) == ""
    assert feedback(rollout(sums, "?", Verdict(None)), sums) == ""
    cut = rollout(sums, "so", verify(sums, "so"), "length")
    assert "cut at the limit" in feedback(cut, sums)


def test_keys_that_it_does_not_read_are_refused():
    with pytest.raises(UserError, match=r"train\.guard: belongs to train\.method grpo"):
        recipe(guard={})
    with pytest.raises(UserError, match=r"TRL's SDPOConfig has no such field"):
        recipe(trl={"top_entropy_quantile": 0.5})
    AutoTokenizer.from_pretrained(starting_model(recipe()))
