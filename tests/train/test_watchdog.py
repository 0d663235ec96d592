"""Each alarm on logs that call for it, silence on others, and a real run that is stopped."""

import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ttc_rl.config import WatchdogConfig, load_recipe
from ttc_rl.run_dir import ArmDir, RunDir, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import Job
from ttc_rl.stages.run import report, select, train
from ttc_rl.train import watchdog
from ttc_rl.train.watchdog import GAP, Signs, Watchdog

TINY = Path(__file__).parents[1] / "tiny.yaml"
FINE = {"loss": 0.1, "grad_norm": 0.5, "reward": 0.5, "frac_reward_zero_std": 0.25, GAP: 0.001}


def read(config: WatchdogConfig, *steps: dict[str, Any], moved: bool | None = None) -> list[str]:
    signs = Signs(config)
    return [a for step, logs in enumerate(steps, 1) for a in signs.read(step, FINE | logs, moved)]


@pytest.fixture
def three_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "WINDOW", 3)


@pytest.mark.usefixtures("three_steps")
def test_a_healthy_run_is_silent():
    assert read(WatchdogConfig(), *[{} for _ in range(50)], moved=True) == []


@pytest.mark.parametrize(
    ("logs", "alarm"),
    [
        ({"loss": math.nan}, "nan"),
        ({"grad_norm": math.inf}, "nan"),
        ({GAP: 0.4}, "drift"),
        ({"grad_norm": None, "reward": None}, None),
    ],
)
def test_what_one_step_tells(logs: dict[str, Any], alarm: str | None):
    assert read(WatchdogConfig(), logs) == ([alarm] if alarm else [])


def test_weights_that_stay_are_told_where_there_was_a_gradient():
    assert read(WatchdogConfig(), {}, moved=False) == ["unmoved"]
    assert read(WatchdogConfig(), {"grad_norm": 0.0}, moved=False) == []


def test_a_reward_that_falls_to_half_of_its_best_window_has_collapsed(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(watchdog, "WINDOW", 2)
    config = WatchdogConfig()
    assert read(config, *({"reward": r} for r in (0.1, 0.9, 0.9, 0.3, 0.7))) == []  # half is left
    assert read(config, *({"reward": r} for r in (0.9, 0.9, 0.4, 0.4))) == ["collapse"]


@pytest.mark.usefixtures("three_steps")
def test_completions_that_cannot_be_graded_are_told():
    config, key = WatchdogConfig(), "curriculum/undecided_rate"
    assert read(config, *[{key: 0.08}] * 5) == []
    assert read(config, *[{key: 0.5}] * 3) == ["undecided"]


@pytest.mark.usefixtures("three_steps")
def test_groups_that_all_agree_are_told_once_a_window():
    config = WatchdogConfig()
    flat = [{"frac_reward_zero_std": 1.0}] * 7
    assert read(config, *flat[:2]) == []
    assert read(config, *flat) == ["zero_variance"] * 2  # after steps 3 and 6


def dog(folder: Path, **changes: Any) -> tuple[Watchdog, Any, Any]:
    state = SimpleNamespace(global_step=1, is_world_process_zero=True)
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    made = Watchdog(WatchdogConfig(**changes), ArmDir(folder))
    made.on_train_begin(None, state, control)
    return made, state, control


def moved(folder: Path, optimizer: Any, *rates: float, gradient: Any = 1.0) -> bool | None:
    """What the watchdog saw of updates at these learning rates."""
    made, state, control = dog(folder)
    (group,) = optimizer.param_groups
    for group["lr"] in rates:
        for weight in group["params"]:
            weight.grad = torch.zeros_like(weight) + gradient
        made.on_pre_optimizer_step(None, state, control, optimizer=optimizer)
        optimizer.step()
        made.on_optimizer_step(None, state, control, optimizer=optimizer)
        made.on_step_end(None, state, control)
    made.close()
    assert not (folder / "stall.txt").exists()
    return made.moved


class Idle(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:
        """Leave every weight where it is."""


def weights(*shape: int) -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.ones(*shape))]


def test_it_looks_at_the_weights_themselves(tmp_path: Path):
    assert moved(tmp_path, torch.optim.SGD(weights(3, 3), lr=0.1), 0.1) is True
    assert moved(tmp_path, Idle(weights(3, 3), lr=0.1), 0.1, 0.1) is False


def test_a_step_that_has_no_learning_rate_yet_is_not_judged(tmp_path: Path):
    for kind in (torch.optim.SGD, Idle):
        assert moved(tmp_path, kind(weights(3), lr=0.1), 0.0) is None
    bfloat16 = [torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))]
    optimizer = torch.optim.SGD(bfloat16, lr=0.1)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)  # as transformers: the peak is kept
    assert moved(tmp_path, optimizer, 1e-6) is None  # too small a step from 1
    assert moved(tmp_path, optimizer, 1e-6, 0.1) is True
    assert moved(tmp_path, Idle(weights(3), lr=0.1), 0.0, 0.1, 0.0) is False


def test_only_weights_that_have_a_gradient_are_expected_to_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ttc_rl.train.watchdog.SLICE", 4)
    last = torch.zeros(9)
    last[-1] = 1.0  # as of a mask
    assert moved(tmp_path, torch.optim.SGD(weights(9), lr=0.1), 0.1, gradient=last) is True
    assert moved(tmp_path, Idle(weights(9), lr=0.1), 0.1, gradient=last) is False
    assert moved(tmp_path, Idle(weights(9), lr=0.1), 0.1, gradient=0.0) is None


def test_lora_moves_whatever_its_depth(tmp_path: Path):
    """Of A and B in turn, A stays: its gradient is 0 while B is."""
    for layers in (1, 6, 24):
        pairs = [
            torch.nn.Parameter(torch.full((2, 2), float(i % 2 == 0))) for i in range(2 * layers)
        ]
        x = torch.ones(1, 2)
        for a, b in zip(pairs[::2], pairs[1::2], strict=True):
            x = x + x @ a @ b
        x.sum().backward()
        made, state, control = dog(tmp_path)
        optimizer = torch.optim.AdamW(pairs, lr=0.1, weight_decay=0.0)
        made.on_pre_optimizer_step(None, state, control, optimizer=optimizer)
        optimizer.step()
        made.on_optimizer_step(None, state, control, optimizer=optimizer)
        made.close()
        assert made.moved is True
        assert torch.equal(pairs[0], torch.ones(2, 2))


def test_a_stop_saves_unless_the_weights_are_lost(tmp_path: Path):
    for alarm, logs, saved in (("drift", {GAP: 0.4}, True), ("nan", {"loss": math.nan}, False)):
        made, state, control = dog(tmp_path)
        made.on_log(None, state, control, logs=FINE | logs)
        assert (control.should_training_stop, control.should_save) == (True, saved)
        assert made.stopped.startswith(f"{alarm} at step 1")
        made.close()
    assert [row["alarm"] for row in read_jsonl(ArmDir(tmp_path).alarms)] == ["drift", "nan"]


def test_a_step_that_hangs_shows_where(tmp_path: Path):
    made, state, control = dog(tmp_path, stall=0.2)
    hang_here()
    assert [row["step"] for row in read_jsonl(ArmDir(tmp_path).alarms)] == [2]  # before it ends
    state.global_step = 2
    made.on_step_end(None, state, control)
    made.close()
    assert "hang_here" in (tmp_path / "stall.txt").read_text()
    assert [row["alarm"] for row in read_jsonl(ArmDir(tmp_path).alarms)] == ["stall"]
    assert not control.should_training_stop


def test_quick_steps_do_not_set_the_timer_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    set_to: list[float] = []
    monkeypatch.setattr(
        "faulthandler.dump_traceback_later", lambda seconds, **_: set_to.append(seconds)
    )
    made, state, control = dog(tmp_path, stall=1000)
    for _ in range(20):
        made.on_step_end(None, state, control)
    assert set_to == [pytest.approx(1100)]
    made.set_at -= 101
    made.on_step_end(None, state, control)
    assert len(set_to) == 2
    made.close()


def hang_here() -> None:
    time.sleep(0.5)


def test_a_run_is_stopped_with_a_checkpoint_and_can_go_on(
    tmp_path: Path, cache: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watchdog, "WINDOW", 2)
    monkeypatch.setattr(watchdog, "ZERO_VARIANCE", 0.5)
    flat = ["train.reward=shuffled", "train.epochs=3", "train.save_steps=50"]
    recipe = load_recipe(TINY, [*flat, "train.watchdog.stop=[zero_variance]"])
    said.clear()
    made = Job(recipe, RunDir.open(tmp_path / "run", recipe))
    select(made)
    folder = made.arm("random")[1]  # the first of two
    with pytest.raises(UserError, match=r"stopped by the watchdog, zero_variance at step \d"):
        train(made)
    steps = len(list(read_jsonl(folder.metrics)))
    assert 2 <= steps < 12
    assert any(line.startswith("ALARM at step") for line in said)
    assert list(folder.checkpoints.glob("checkpoint-*/complete.json"))
    assert not folder.model.exists()
    report(made)
    assert "there is nothing to learn from" in made.run.report.read_text()
    with pytest.raises(UserError, match="stopped by the watchdog"):
        train(made)
    assert len(list(read_jsonl(folder.metrics))) > steps
    assert any("training goes on after step" in line for line in said)
