"""Gradients of single examples, their sketch, the warm-up, and what the examples are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from logged import logged

from ttc_rl.config import LessConfig, load_recipe
from ttc_rl.corpus.skills import make_skills
from ttc_rl.sampling.drawing import Group
from ttc_rl.schema import Task, UserError
from ttc_rl.selection.influence import Influence, scores
from ttc_rl.selection.less import warmup
from ttc_rl.selection.less.examples import blind, gold_reply, policy, supervised, voted, voted_reply
from ttc_rl.selection.less.gradients import (
    Differentiable,
    Moments,
    Sketch,
    adam_direction,
    load_differentiable,
    num_parameters,
    sketched,
)
from ttc_rl.selection.less.warmup import warm_up
from ttc_rl.train.tiny_model import base_model

RECIPE = load_recipe(Path(__file__).parents[1] / "tiny.yaml")


@pytest.fixture(scope="module")
def base(cache: Path) -> Path:
    assert RECIPE.model.pretrain is not None
    return base_model(RECIPE.model.pretrain, 0, RECIPE.prompts)


@pytest.fixture
def model(base: Path) -> Differentiable:
    return load_differentiable(base, RECIPE.prompts, None, 0)


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    skills = RECIPE.corpus[0].skills  # pyright: ignore[reportAttributeAccessIssue]
    return make_skills(skills)[:20]


def test_a_gradient_is_that_of_the_models_own_loss(model: Differentiable, tasks: list[Task]):
    example = supervised(tasks[0], gold_reply(tasks[0]), model)
    (reply,) = example.replies
    assert model.tokenizer.decode(reply.ids) == f"{tasks[0].meta['solution']} <end>"
    ids = torch.tensor([[*example.prompt, *reply.ids]])
    labels = ids.clone()
    labels[0, : len(example.prompt)] = -100
    model.model(input_ids=ids, labels=labels).loss.backward()
    plain = torch.cat([p.grad.flatten() for p in model.parameters if p.grad is not None])
    assert plain.norm() > 1e-3
    assert torch.allclose(model.gradient(example), plain, atol=1e-6)


def test_replies_of_different_length_in_one_batch_add_up(model: Differentiable, tasks: list[Task]):
    task = tasks[0]
    group = Group(["answer a b c d", "answer"], [True, False], [6, 1], [])
    together = model.gradient(policy(task, group, [True, False], model))
    apart = model.loss([supervised(task, group.texts[0], model)]) * 6 * 0.25
    ids = model.reply_ids("answer", finished=False)
    assert len(ids) == 1
    wrong = torch.nn.functional.log_softmax(
        model.model(input_ids=torch.tensor([model.prompt_ids(task)])).logits[0, -1], dim=0
    )[ids[0]]
    grads = torch.autograd.grad(apart + 0.25 * wrong, model.parameters)
    assert torch.allclose(together, torch.cat([g.flatten() for g in grads]), atol=1e-5)


def test_the_sketch_keeps_inner_products_on_average():
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(300, generator=rng)
    y = x + torch.randn(300, generator=rng)
    sketches = [Sketch(300, 64, seed) for seed in range(400)]
    products = torch.stack([sketch(x) @ sketch(y) for sketch in sketches])
    error = products.std() / len(sketches) ** 0.5
    assert abs(products.mean() - x @ y) < 4 * error
    assert error < 0.02 * abs(x @ y)


def test_adams_direction_is_the_step_that_adam_takes():
    """Up to bias correction, which scales the whole of it (eps is negligible here)."""
    weights = torch.zeros(5, requires_grad=True)
    adam = torch.optim.Adam([weights], lr=1.0)
    grads = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    for grad in grads[:3]:
        weights.grad = grad.clone()
        adam.step()
    state = adam.state[weights]
    moments = Moments(state["exp_avg"].clone(), state["exp_avg_sq"].clone())
    before = weights.detach().clone()
    weights.grad = grads[3].clone()
    adam.step()
    step, direction = before - weights.detach(), adam_direction(grads[3], moments)
    assert torch.cosine_similarity(step, direction, dim=0) > 1 - 1e-6


def test_a_task_is_its_own_best_influence(model: Differentiable, tasks: list[Task], tmp_path: Path):
    examples = [supervised(task, gold_reply(task), model) for task in tasks]
    sketch = Sketch(sum(p.numel() for p in model.parameters), 512, 0)
    rows_nF = sketched(model, examples, sketch, None, tmp_path, "base")
    assert rows_nF.shape == (20, 512)
    for i in (0, 7, 19):
        found = scores(Influence(np.arange(20), [rows_nF], [rows_nF[i : i + 1]], [1.0], [""]))
        assert found[i] == pytest.approx(1.0)
        assert found.argmax() == i


def test_a_group_of_one_opinion_has_no_policy_gradient(model: Differentiable, tasks: list[Task]):
    group = Group(["answer a", "answer b"], [True, True], [3, 3], [])
    for verdicts in ([True, True], [False, False], [None, None], [None, True]):
        example = policy(tasks[0], group, verdicts, model)
        assert example.tokens == 0
        assert not model.gradient(example).any()
    assert model.gradient(policy(tasks[0], group, [True, False], model)).any()


def test_the_warm_up_goes_on_after_a_kill_and_ends_the_same(
    base: Path, tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = LessConfig(warmup_learning_rate=1e-3)
    monkeypatch.setattr(warmup, "EPOCHS", 3)
    monkeypatch.setattr(warmup, "BATCH", 8)

    def warmed(folder: Path):
        model = load_differentiable(base, RECIPE.prompts, None, 0)
        examples = [supervised(task, gold_reply(task), model) for task in tasks]
        return warm_up(model, examples, config, 0, folder)

    def killed(line: str) -> None:
        if "pass 2" in line:
            raise InterruptedError

    with logged(killed), pytest.raises(InterruptedError):
        warmed(tmp_path / "killed")
    assert len(list((tmp_path / "killed").glob("*.pt"))) == 2
    for a, b in zip(warmed(tmp_path / "killed"), warmed(tmp_path / "whole"), strict=True):
        assert a.learning_rate == b.learning_rate
        assert torch.equal(a.moments.square_p, b.moments.square_p)
        assert all(torch.equal(x, y) for x, y in zip(a.weights, b.weights, strict=True))
    rates = [checkpoint.learning_rate for checkpoint in warmed(tmp_path / "whole")]
    assert rates == pytest.approx([8 / 9e3, 5 / 9e3, 2 / 9e3])  # 9 steps, 1e-3 (1 - t / 9)


def test_an_adapter_stands_in_for_the_parameters_of_a_big_model(base: Path, tasks: list[Task]):
    whole = load_differentiable(base, RECIPE.prompts, 0, 0)
    adapter = load_differentiable(base, RECIPE.prompts, 2, 0)
    size = sum(p.numel() for p in adapter.parameters)
    assert sum(p.numel() for p in whole.parameters) == num_parameters(base)
    assert size == 2 * 4 * 2 * 2 * 64  # rank, q k v o, A and B, layers, hidden size
    example = supervised(tasks[0], gold_reply(tasks[0]), adapter)
    assert adapter.gradient(example).shape == (size,)
    assert adapter.gradient(example).any()


def test_a_blind_target_holds_no_gold_and_votes_on_its_own():
    task = Task("exact", "reverse a b =>", "b a", meta={"solution": "answer b a", "family": "x"})
    seen = blind(task)
    assert (seen.gold, seen.tests, dict(seen.meta), seen.id) == (None, (), {}, task.id)
    group = Group(["answer a b", "answer a b", "answer b a", ""], [True] * 4, [3] * 4, [])
    assert voted_reply(seen, group) == "answer a b"
    assert voted(seen, group) == [True, True, False, False]
    assert voted_reply(seen, Group(["", ""], [True] * 2, [1] * 2, [])) is None


def test_a_task_without_a_gold_reply_is_refused():
    assert gold_reply(Task("math", "1 + 1?", "2")) == r"\boxed{2}"
    with pytest.raises(UserError, match="no gold reply"):
        gold_reply(Task("code", "sort a list", tests=({"input": "", "output": ""},)))
