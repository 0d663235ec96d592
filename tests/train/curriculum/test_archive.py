"""The answers to go on from, and the objective that is after the best of a group."""

import json
import math

import numpy as np
import pytest

from ttc_rl.train.curriculum.archive import Archive
from ttc_rl.train.entropic import STEEPEST, entropic_advantages


def tilted(beta: float, rewards: np.ndarray) -> np.ndarray:
    q = np.exp(beta * (rewards - rewards.max()))
    return q / q.sum()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_weights_differ_from_equal_ones_by_the_tilt_whatever_the_scale(scale: float):
    rewards = scale * np.random.default_rng(0).random(16)
    found = entropic_advantages(rewards[None], math.log(2))[0]
    # With s the sum of all weights, w_i / (s - w_i) * 15 = A_i + 1.
    odds = (found + 1) / 15
    q = odds / (1 + odds)
    assert q.sum() == pytest.approx(1, abs=1e-9)
    assert (q * np.log(q * 16)).sum() == pytest.approx(math.log(2), abs=1e-6)
    betas = np.log(q / q.min()) / (rewards - rewards.min() + 1e-300)
    steep = np.delete(betas, rewards.argmin())
    assert steep == pytest.approx(np.full(15, steep[0]), rel=1e-6)  # one beta for the group
    assert tilted(steep[0], rewards) == pytest.approx(q, abs=1e-9)


def test_no_group_without_a_difference_moves_the_model_and_no_scale_breaks_it():
    flat = entropic_advantages(np.full((2, 8), 0.3), math.log(2))
    assert (flat == 0).all()
    shared = entropic_advantages(np.array([[1.0] * 7 + [0.0]]), math.log(2))[0]
    assert shared == pytest.approx([7 / 6 - 1] * 7 + [-1])  # more than half are best
    assert math.exp(-STEEPEST) == 0
    one = entropic_advantages(np.array([[0.0] * 63 + [1.0]]), math.log(2))[0]
    assert np.isfinite(one).all()
    assert one.argmax() == 63
    assert one[:63] == pytest.approx(np.full(63, one[0]))


def test_the_next_answer_is_the_one_that_puct_says():
    archive = Archive([("start", 0.0)], reuse=True, exploration=1.0)
    assert archive.next_tasks(2) == ["0", "0"]  # there is no other yet
    archive.found(0, [("a", 0.5), None, ("b", 0.8), ("c", 0.7), ("b", 0.8)])
    assert [a.text for a in archive.answers] == ["start", "b", "c"]  # the two best, each once
    assert archive.best == ("b", 0.8)
    assert (archive.given, archive.valid) == (5, 4)
    # By rank b, c, start have P = 3/6, 2/6, 1/6; the start was gone on from once, and led to 0.8.
    bonus = 0.8 * math.sqrt(2)
    scores = {"1": 0.8 + bonus / 2, "2": 0.7 + bonus / 3, "0": 0.8 + bonus / 6 / 2}
    by_score = sorted(scores, key=lambda n: -scores[n])
    assert [str(n) for n in archive._ranked()] == by_score == ["1", "2", "0"]
    assert archive.next_tasks(3) == ["1", "2", "0"]  # the start is an ancestor, and comes last
    archive.found(1, [("worse", 0.1)])
    assert archive.answers[1].best_child == 0.1
    assert archive.answers[0].tries == 2  # what came of it was gone on from
    assert archive._ranked()[0] == 2


def test_without_reuse_every_step_goes_on_from_the_start():
    archive = Archive([("start", 0.0)], reuse=False)
    archive.found(0, [("a", 0.5)])
    assert archive.next_tasks(2) == ["0", "0"]
    assert archive.best == ("a", 0.5)


def test_the_worst_are_dropped_and_the_starts_stay():
    archive = Archive([("start", 0.0)], reuse=True, children=9, most=3)
    archive.found(0, [(str(n), n / 10) for n in range(1, 8)])
    assert {archive.answers[n].text for n in archive.kept} == {"start", "7", "6"}
    archive.found(0, [("7", 0.7)])
    assert len(archive.answers) == 8  # it is known


def test_it_goes_on_from_a_checkpoint_as_if_nothing_had_been():
    def played(archive: Archive, rng: np.random.Generator, steps: int) -> list[list[str]]:
        asked = []
        for _ in range(steps):
            picked = archive.next_tasks(3)
            asked.append(picked)
            for number in picked:
                drawn = rng.random(4).round(2)
                archive.found(int(number), [(str(v), v) if v > 0.2 else None for v in drawn])
        return asked

    whole, rng = Archive([("start", 0.0)], reuse=True), np.random.default_rng(1)
    played(whole, rng, 5)
    held = json.loads(json.dumps(whole.state_dict()))
    other = Archive([("start", 0.0)], reuse=True)
    other.load_state_dict(held)
    twin = np.random.default_rng()
    twin.bit_generator.state = rng.bit_generator.state
    assert played(whole, rng, 5) == played(other, twin, 5)
    assert whole.state_dict() == other.state_dict()
    assert whole.metrics() == other.metrics()
