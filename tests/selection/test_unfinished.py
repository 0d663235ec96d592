"""What was picked before a kill is gone on with, if the question is still the same."""

from pathlib import Path

import pytest

from ttc_rl.run_dir import ArmDir
from ttc_rl.selection import unfinished
from ttc_rl.selection.unfinished import Unfinished


def picks_two_and_is_killed(selection: Unfinished) -> None:
    selection.progress("sift", 9)([4, 2])
    raise KeyboardInterrupt


def test_a_killed_selection_goes_on_and_a_finished_one_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
):
    monkeypatch.setattr(unfinished, "SECONDS", 0.0)
    folder = ArmDir(tmp_path)
    with pytest.raises(KeyboardInterrupt), Unfinished(folder, ["size", 9]) as first:
        picks_two_and_is_killed(first)
    assert said == ["sift: 2 of 9 tasks selected, 0 s left"]
    assert Unfinished(folder, ["size", 8]).picks == []
    with Unfinished(folder, ["size", 9]) as second:
        assert second.picks == [4, 2]
        second.progress("sift", 9)
    assert said[-1] == "sift: selection goes on after 2 tasks"
    assert not list(tmp_path.iterdir())
