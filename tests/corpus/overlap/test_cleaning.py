"""Rules on embeddings and repeats inside a corpus, against plain loops."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_rl.config import OverlapConfig
from ttc_rl.corpus.overlap import near
from ttc_rl.corpus.overlap.cleaning import clean, clean_near, needs_embeddings
from ttc_rl.corpus.overlap.dedupe import formulas, printed
from ttc_rl.corpus.sources import load_corpus
from ttc_rl.schema import Task, UserError
from ttc_rl.vectors import Vectors

DATA = Path(os.environ["TTC_RL_TEST_DATA"])


def math_task(prompt: str, gold: str = "1", **meta: object) -> Task:
    return Task("math", prompt, gold, meta=meta)


def vectors(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-2, 3, size=(rows, 3)).astype(np.float32)


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    norms = np.outer(np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1))
    return left @ right.T / np.where(norms > 0, norms, 1)


@given(
    st.integers(0, 12), st.integers(1, 4), st.integers(0, 99), st.sampled_from([0.51, 0.79, 0.953])
)
def test_near_by_cosine_in_tiles_is_near_by_cosine(n: int, m: int, seed: int, threshold: float):
    corpus_ND, target_MD = vectors(n, seed), vectors(m, seed + 1)
    cosine_NM = cosines(corpus_ND, target_MD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "CELLS", 10)
        found = near.near_duplicates(corpus_ND, target_MD, threshold)
        nearest = near.nearest_tasks(corpus_ND, target_MD, 2)
    assert found.i.tolist() == [i for i in range(n) if cosine_NM[i].max() >= threshold]
    np.testing.assert_allclose(found.similarity, cosine_NM[found.i].max(axis=1), atol=1e-6)
    assert len(nearest) == m * min(n, 2)
    for target in range(m):
        mine = nearest.similarity[nearest.j == target]
        expected = np.sort(cosine_NM[:, target])[::-1][:2]
        np.testing.assert_allclose(mine, expected, atol=1e-6)
    pairs = near.near_pairs(corpus_ND, threshold)
    own_NN = cosines(corpus_ND, corpus_ND)
    assert set(zip(pairs.i.tolist(), pairs.j.tolist(), strict=True)) == {
        (i, j) for j in range(n) for i in range(j) if own_NN[i, j] >= threshold
    }


COLOURS = ["red", "blue", "green", "white"]


@pytest.mark.parametrize("on_disk", [False, True])
def test_cosine_then_repeats(on_disk: bool, tmp_path: Path):
    tasks = [math_task(f"tell me of {colour}") for colour in [*COLOURS, "black", "pink"]]
    corpus_ND = np.array([[1, 0], [0.9, 0.3], [0.6, 0.8], [0, 1], [0.01, 1], [-1, 0]], np.float32)
    targets, target_MD = [math_task("what is this?", "2")], np.array([[1, 0.0]])
    held = corpus_ND
    if on_disk:
        np.save(tmp_path / "part.npy", corpus_ND)
        held = Vectors([tmp_path / "part.npy"])
    config = OverlapConfig.model_validate({"cosine": 0.99, "dedupe": {"cosine": 0.99}})
    assert needs_embeddings(config)
    cleaned, rows = clean_near(clean(tasks, targets, config), targets, held, target_MD)
    assert [(r.task_id, r.rule) for r in cleaned.overlap.removed] == [(tasks[0].id, "cosine")]
    assert rows.tolist() == [1, 2, 3, 5]
    assert cleaned.tasks == [tasks[1], tasks[2], tasks[3], tasks[5]]
    (gone,) = cleaned.duplicates
    assert (gone.task_id, gone.of_id, gone.rule) == (tasks[4].id, tasks[3].id, "cosine")


def test_by_default_no_embedding_is_asked_for():
    assert not needs_embeddings(OverlapConfig())


def test_a_corpus_of_targets_alone_is_refused():
    with pytest.raises(UserError, match="every corpus task overlaps"):
        clean([math_task("a b c")], [math_task("A b c", "2")], OverlapConfig())


def kept(prompts: list[str], **dedupe: object) -> list[int]:
    tasks = [math_task(prompt, str(i)) for i, prompt in enumerate(prompts)]
    config = OverlapConfig.model_validate({"dedupe": dedupe})
    left = clean(tasks, [math_task("nothing like it at all")], config).tasks
    return [tasks.index(task) for task in left]


@pytest.mark.parametrize(
    ("first", "second", "stay"),
    [
        ("Find  $x+1$ .", "Find x + 1.", [0]),
        (r"$\left( 2\,x \right)$", "(2 x)", [0]),
        ("What is 2+3?", "What is 2-3?", [0, 1]),
        ("spell a b", "spell ab", [0, 1]),
        ("Spell Ab", "Spell AB", [0, 1]),
    ],
)
def test_exact_repeats_print_the_same(first: str, second: str, stay: list[int]):
    assert kept([first, second]) == stay
    assert (printed(first) == printed(second)) == (stay == [0])
    assert kept([first, second], exact=False) == [0, 1]


WORDS = [f"word{'abcdefghij'[i]}" for i in range(10)]
TEXT = " ".join(WORDS * 3)


def test_a_chain_of_repeats_keeps_its_ends():
    """b is near a, c is near b and not near a: b goes, and c stays."""
    texts = [" ".join(f"{w}{i}" for w in WORDS[:4]) for i in ("x", "y", "z")]
    a, b, c = (" ".join([TEXT, *texts[:n]]) for n in (1, 2, 3))
    alone = {pair: kept([*pair], fuzzy=0.65) == [0] for pair in ((a, b), (b, c), (a, c))}
    assert alone == {(a, b): True, (b, c): True, (a, c): False}
    assert kept([a, b, c], fuzzy=0.65) == [0, 2]
    assert kept([b, a, c], fuzzy=0.65) == [0]


def test_other_numbers_or_signs_are_another_problem():
    texts = [f"{TEXT} how many are {sum_}" for sum_ in ("12 + 5", "12 - 5", "15 + 2", "12+5 now")]
    assert kept(texts, fuzzy=0.7) == [0, 1, 2]
    assert formulas("non-negative 1-2, \u22123") == "1-2-3"


def test_repeats_of_another_kind_or_content_stay():
    tasks = [
        math_task(TEXT),
        Task("exact", TEXT, "1"),
        math_task(TEXT, content="a"),
        math_task(TEXT, "2", content="b"),
        math_task(TEXT, "3", content="b"),
    ]
    config = OverlapConfig.model_validate({"dedupe": {"fuzzy": 0.9}})
    cleaned = clean(tasks, [math_task("nothing like it")], config)
    assert cleaned.tasks == tasks[:4]
    assert [one.of_id for one in cleaned.duplicates] == [tasks[3].id]


@pytest.mark.skipif(not DATA.is_dir(), reason="no task data here")
@pytest.mark.parametrize(("fuzzy", "repeats"), [(None, 59), (0.9, 76)])
def test_repeats_of_real_sources(fuzzy: float | None, repeats: int):
    """AIME problems are in both; quasar-mix holds AIME 2024 as well."""
    corpus = load_corpus(["quasar-mix", "aime-1983-2021"], str(DATA)).tasks
    targets = load_corpus([str(DATA / "benchmarks" / "aime2024.jsonl")]).tasks
    config = OverlapConfig.model_validate({"dedupe": {"fuzzy": fuzzy}})
    cleaned = clean(corpus, targets, config)
    assert len(cleaned.duplicates) == repeats
    stay = {task.id for task in cleaned.tasks}
    assert all(one.of_id in stay and one.task_id not in stay for one in cleaned.duplicates)
