"""Rewards of the user's own, in our form and in TRL's."""

from pathlib import Path

import pytest

from ttc_rl.config.places import Places
from ttc_rl.schema import Task, UserError, Verdict
from ttc_rl.train.own_reward import Batch, own_reward

TASKS = [
    Task("exact", "1+1", "2", meta={"level": 1, "solution": "two"}),
    Task("exact", "2+2", "4", meta={"level": 2}),
]
VERDICTS = [Verdict(True, "2"), Verdict(False, "5")]
FROM_TRL = {
    "prompts": ["p", "q"],
    "completions": [
        [{"role": "assistant", "content": "2"}],
        [{"role": "assistant", "content": "5"}],
    ],
    "completion_ids": [[1, 2, 3], [4]],
    "trainer_state": None,
}


def paid(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> list[float | None]:
    """What the function `pay` of a user's file pays for two completions."""
    monkeypatch.chdir(folder)
    (folder / "mine.py").write_text(code)
    own = own_reward("mine:pay", Places())
    assert own is not None
    return own(Batch(TASKS, VERDICTS, FROM_TRL))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def pay(task, verdict): return verdict.correct", [1.0, 0.0]),
        ("def pay(task, verdict): return 0.25 * task.meta['level']", [0.25, 0.5]),
        ("def pay(task, verdict): return verdict", [1.0, 0.0]),
        ("def pay(task, verdict): return None", [None, None]),
        # As TRL's own examples and open-r1's have them.
        (
            "def pay(completions, **kwargs): return [len(c[0]['content']) for c in completions]",
            [1, 1],
        ),
        ("def pay(completions, level, **kwargs): return [float(n) for n in level]", [1, 2]),
        (
            "def pay(prompts, completions, completion_ids): return [*map(len, completion_ids)]",
            [3, 1],
        ),
        (
            "def pay(completions, answer, **kwargs):\n"
            "    return [c[0]['content'] == a for c, a in zip(completions, answer)]",
            [1.0, 0.0],
        ),
        ("def pay(completions, solution, **_): return [s and 1.0 for s in solution]", [1.0, None]),
    ],
)
def test_an_own_reward_may_be_written_as_trl_has_it(
    code: str, expected: list[float | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert paid(tmp_path, monkeypatch, code) == expected


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def pay(task, verdict): return '1'", r"pay paid '1' for task \w+; return a number"),
        ("def pay(task, verdict): return float('nan')", "pay paid nan"),
        ("def pay(task): return 1", r"no function of \(task, verdict\), nor of \(completions"),
        ("pay = 3", "no function of"),
        (
            "def pay(completions, ground_truth): return [1, 1]",
            "'ground_truth', which no task has; there",
        ),
        (
            "def pay(completions, **_): return 1.0",
            "return a list of one number a completion, here 2",
        ),
        ("def pay(completions, **_): return [1.0]", "here 2"),
        ("def pay(completions, **_): return [[1], 0]", r"paid \[1\] for task"),
    ],
)
def test_an_own_reward_that_pays_no_number_is_told(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(UserError, match=message) as error:
        paid(tmp_path, monkeypatch, code)
    assert str(error.value).startswith("train.reward: ")
    assert "\n" not in str(error.value)


def test_a_failed_verifier_is_not_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def pay(task, verdict): return 1")
    own = own_reward("mine:pay", Places())
    assert own is not None
    failed = Verdict(None, None, "no sandbox", "infra_error")
    assert own(Batch(TASKS, [failed, VERDICTS[1]], FROM_TRL)) == [None, 1.0]
