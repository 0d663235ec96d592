"""What the curricula compute, against something slower; and that a save changes nothing."""

import json
import math
from collections import Counter

import numpy as np
import pytest

from ttc_rl.config import Recipe
from ttc_rl.schema import Task, UserError
from ttc_rl.selection import difficulty, greedy
from ttc_rl.train.curriculum import Curriculum, Pool, believing, follow, plan
from ttc_rl.train.curriculum.achievable import Achievable, in_band, moved
from ttc_rl.train.curriculum.belief import STRENGTH, Belief
from ttc_rl.train.curriculum.following import Seen

METHODS = ["achievable", "beta", "discover", "difficulty"]
RNG = np.random.default_rng(0)


def pool(count: int = 60, targets: int = 3, *, measured: bool = False) -> Pool:
    rng = np.random.default_rng(0)
    tasks = [Task(kind="exact", prompt=str(i), gold="1", id=f"t{i}") for i in range(count)]
    corpus, target = rng.normal(size=(count, 8)), rng.normal(size=(targets, 8))
    return Pool(tasks, corpus, target, rng.uniform(size=count) if measured else None)


def recipe(method: str, epochs: int = 1, **more: object) -> Recipe:
    train = {"tasks_per_step": 4, "rollouts_per_task": 8, "epochs": epochs}
    return Recipe.model_validate(
        {
            "model": "m",
            "corpus": "c.jsonl",
            "target": "t.jsonl",
            "selection": {"size": 40},
            "train": {**train, "curriculum": {"method": method, "candidates": 10, **more}},
        }
    )


def made(method: str, epochs: int = 1, among: Pool | None = None, **more: object) -> Curriculum:
    asked, among = recipe(method, epochs, **more), among or pool()
    picks = plan([t.id for t in among.tasks][:40], asked.train)
    return follow(asked.train, asked.selection.noise, asked.places, picks, among)


def rate(task_id: str, step: int) -> float:
    """A task's share of eight rollouts that is right: known, and rising."""
    return min(8, int(task_id[1:]) % 7 + step // 2) / 8


def advance(curriculum: Curriculum, steps: int) -> list[list[str]]:
    taken = []
    for _ in range(steps):
        taken.append(curriculum.next_tasks(4))
        for task_id in taken[-1]:
            curriculum.observe(task_id, rate(task_id, curriculum.steps), 8)
    return taken


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("saved_after", [0, 1, 5, 7])
def test_saved_midway_and_restored_it_goes_on_the_same(method: str, saved_after: int):
    curriculum = made(method, every=3)
    advance(curriculum, saved_after)
    state = json.loads(json.dumps(curriculum.state_dict()))
    again = made(method, every=3)
    again.load_state_dict(state)
    assert advance(again, 6) == advance(curriculum, 6)
    assert again.metrics() == curriculum.metrics()
    assert again.state_dict() == curriculum.state_dict()


@pytest.mark.parametrize("method", METHODS)
def test_a_task_is_trained_at_most_as_often_as_there_are_epochs(method: str):
    once = advance(made(method, epochs=1, every=3), 15)
    assert len({i for ids in once for i in ids}) == 60
    twice = Counter(i for ids in advance(made(method, epochs=2, every=3), 25) for i in ids)
    assert max(twice.values()) == 2


@pytest.mark.parametrize("method", METHODS)
def test_other_rewards_lead_to_other_tasks(method: str):
    one, other = (made(method, among=pool(measured=True), every=2) for _ in range(2))
    first = advance(one, 2)
    for ids in first:
        assert other.next_tasks(4) == ids
        for task_id in ids:
            other.observe(task_id, 0.0, 8)
    assert advance(one, 2) != advance(other, 2)


# --------------------------------------------------------------------------- A-TTC


def transcribed(alpha: list[float], observed: dict[int, float]) -> list[float]:
    """The update as it is written down, one task at a time."""

    def logit(x: float) -> float:
        x = min(max(x, 0.05), 0.95)
        return math.log(x / (1 - x))

    changes = [logit(score) - logit(alpha[x]) for x, score in observed.items()]
    shift = min(max(sum(changes) / len(changes), -0.5), 0.5)
    after = []
    for x in range(len(alpha)):
        if x in observed:
            after.append(observed[x])
        else:
            after.append(1 / (1 + math.exp(-(logit(alpha[x]) + shift))))
    return after


def test_attc_moves_its_estimates_as_it_is_written_down():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        alpha = rng.uniform(size=30)
        trained = rng.permutation(30)[:8]
        score = rng.integers(0, 17, size=8) / 16
        got, _ = moved(alpha, trained, score)
        by_task = dict(zip(trained.tolist(), score.tolist(), strict=True))
        assert got.tolist() == pytest.approx(transcribed(alpha.tolist(), by_task), abs=1e-15)


def test_attc_fills_its_band_from_the_midpoint_outwards():
    for seed in range(20):
        success = np.round(np.random.default_rng(seed).uniform(size=25), 1)
        inside = [i for i, p in enumerate(success) if 0.25 <= p <= 0.6]
        outside = sorted(set(range(25)) - set(inside), key=lambda i: (abs(success[i] - 0.425), i))
        for least in (1, 5, 12, 25, 40):
            filled = outside[: max(0, least - len(inside))]
            while len(filled) in range(1, len(outside)) and math.isclose(
                abs(success[filled[-1]] - 0.425), abs(success[outside[len(filled)]] - 0.425)
            ):
                filled = outside[: len(filled) + 1]
            assert in_band(success, (0.25, 0.6), least).tolist() == sorted(inside + filled)


def test_attc_chooses_by_sift_among_the_candidates_it_has_after_the_update():
    among = pool()
    curriculum = made("achievable", among=among, every=2)
    taken = advance(curriculum, 2)
    rows = [int(i[1:]) for ids in taken for i in ids]
    observed = {int(i[1:]): rate(i, step) for step, ids in enumerate(taken, start=1) for i in ids}
    alpha = np.array(transcribed([0.5] * 60, observed))
    left = np.array([row for row in range(60) if row not in rows])
    candidates = left[in_band(alpha[left], (0.25, 0.6), 10)]
    picks = candidates[greedy(among.corpus_ND[candidates], among.target_MD, 8, 0.1)]
    expected = [f"t{row}" for row in picks]
    assert advance(curriculum, 2) == [expected[:4], expected[4:]]
    assert isinstance(curriculum, Achievable)
    assert curriculum.estimate_N.tolist() == pytest.approx(alpha.tolist())


# --------------------------------------------------------------------------- the belief


def test_the_belief_is_a_beta_posterior_that_shares_and_forgets():
    rng = np.random.default_rng(1)
    corpus, decay, reach = rng.normal(size=(12, 4)), 0.8, 0.3
    belief = Belief(corpus, np.full(12, 0.5), decay, reach)
    steps = [
        [
            Seen(int(r), k / 8, 8)
            for r, k in zip(rng.permutation(12)[:3], rng.integers(0, 9, 3), strict=True)
        ]
        for _ in range(5)
    ]
    for seen in steps:
        belief.learn(seen)
    unit = corpus / np.linalg.norm(corpus, axis=1)[:, None]
    q = 1 / (1 + math.exp(-belief.shift))
    for i in range(12):
        right, wrong = STRENGTH * q, STRENGTH * (1 - q)
        for age, seen in enumerate(reversed(steps)):
            for one in seen:
                weight = decay**age * math.exp((unit[i] @ unit[one.row] - 1) / reach)
                right += weight * one.rate * 8
                wrong += weight * (1 - one.rate) * 8
        assert belief.mean_N()[i] == pytest.approx(right / (right + wrong))


def test_the_pooled_shift_finds_a_common_change_and_a_known_task_is_calibrated():
    """Tasks unlike one another, each 1.2 logits easier than its prior says."""
    rng = np.random.default_rng(2)
    prior = rng.uniform(0.2, 0.6, size=400)
    truth = 1 / (1 + np.exp(-(np.log(prior / (1 - prior)) + 1.2)))
    belief = Belief(rng.normal(size=(400, 64)), prior, 1.0, 0.02)
    assert abs(belief.mean_N() - truth).mean() > 0.2
    for rows in rng.permutation(400)[:240].reshape(30, 8):
        belief.learn([Seen(int(r), rng.binomial(16, truth[r]) / 16, 16) for r in rows])
    unseen = belief.right_N + belief.wrong_N < 1
    assert 100 < unseen.sum() < 200
    error = belief.mean_N() - truth
    assert abs(error[unseen].mean()) < 0.05
    assert abs(error[unseen]).mean() < 0.06
    assert abs(error[~unseen]).mean() < 0.12


def test_the_pooled_shift_rests_where_tasks_are_either_solved_or_not():
    """Three of ten are always solved, the others never: what is unseen has a chance of 0.3."""
    rng = np.random.default_rng(4)
    solved = rng.permutation(500) < 150
    belief = Belief(rng.normal(size=(500, 64)), np.full(500, 0.5), 1.0, 0.02)
    for rows in rng.permutation(500)[:400].reshape(50, 8):
        belief.learn([Seen(int(row), float(solved[row]), 16) for row in rows])
    unseen = belief.right_N + belief.wrong_N < 1
    assert belief.mean_N()[unseen].mean() == pytest.approx(0.3, abs=0.07)


# --------------------------------------------------------------------------- DISCOVER


def test_discover_settles_where_half_succeeds_and_follows_a_model_that_learns(
    monkeypatch: pytest.MonkeyPatch,
):
    """Tasks on a line: the further, the more like the target, and the harder; skill grows."""
    rng, count, steps = np.random.default_rng(3), 1000, 120
    place_N = np.linspace(0, 1, count)
    wave = rng.normal(size=40)

    def embedded(places: np.ndarray) -> np.ndarray:
        """Cosines fall with the square of the distance."""
        angles = np.outer(places, wave)
        return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(40)

    tasks = [Task(kind="exact", prompt=str(i), gold="1", id=f"t{i}") for i in range(count)]
    among = Pool(tasks, embedded(place_N), embedded(np.array([1.0])))
    monkeypatch.setattr(believing, "REACH", 0.005)
    curriculum = made("discover", among=among)
    success, place, relevance = [], [], []
    for step in range(steps):
        for task_id in curriculum.next_tasks(4):
            place.append(place_N[int(task_id[1:])])
            p = 1 / (1 + math.exp((place[-1] - 0.2 - 0.5 * step / steps) / 0.2))
            success.append(rng.binomial(16, p) / 16)
            curriculum.observe(task_id, success[-1], 16)
        relevance.append(curriculum.metrics()["relevance"])
    assert np.mean(success[80:]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([0 < s < 1 for s in success[80:]]) > 0.8
    assert np.mean(place[-80:]) > np.mean(place[80:160]) + 0.2
    assert np.mean(relevance[-20:]) > np.mean(relevance[20:40]) + 0.02


# --------------------------------------------------------------------------- heteroscedastic SIFT


def test_difficulty_is_sift_with_the_noise_of_now_after_what_was_trained():
    among = pool()
    curriculum = made("difficulty", among=among, every=2)
    taken = advance(curriculum, 2)
    curriculum.learn(curriculum.fresh)
    success = curriculum.success_N()
    curriculum.fresh = []
    rows = [int(i[1:]) for ids in taken for i in ids]
    noise = difficulty.noise_of(success, 0.1)
    # Posterior after the trained rows, densely; the next pick has the largest gain.
    x = among.corpus_ND[rows]
    cov = np.linalg.inv(np.eye(8) + x.T @ np.diag(1 / noise[rows]) @ x)
    expected = []
    for _ in range(8):
        gain = ((among.target_MD @ cov @ among.corpus_ND.T) ** 2).sum(axis=0)
        gain = gain / (noise + np.einsum("nd,de,ne->n", among.corpus_ND, cov, among.corpus_ND))
        gain[rows + expected] = -1
        best = int(gain.argmax())
        expected.append(best)
        w = cov @ among.corpus_ND[best]
        cov = cov - np.outer(w, w) / (noise[best] + among.corpus_ND[best] @ w)
    assert [int(i[1:]) for ids in advance(curriculum, 2) for i in ids] == expected


# --------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"curriculum": {"band": [0.6, 0.2]}}, "the first number must be the lower one"),
        ({"curriculum": {"method": "attc"}}, "static"),
        ({"guard": {"min_successes": 8}, "rollouts_per_task": 8}, "drops every group"),
    ],
)
def test_a_bad_value_is_told(more: dict[str, object], told: str):
    with pytest.raises(ValueError, match=told):
        Recipe.model_validate({"model": "m", "corpus": "c", "target": "t", "train": more})


def test_a_pool_smaller_than_a_step_is_refused():
    made = recipe("beta")
    picks = plan(list("abcd"), made.train)
    with pytest.raises(UserError, match="does not fill a step of 4"):
        follow(made.train, 0.1, made.places, picks, pool(3, 1))
