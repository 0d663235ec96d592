"""The join finds what comparing every text with every other finds, no more and no less."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_rl.corpus.overlap import join, shingles
from ttc_rl.corpus.overlap.join import Measure, similar_pairs
from ttc_rl.corpus.overlap.shingles import Vocabulary
from ttc_rl.schema import UserError

WORDS = ["find", "the", "sum", "product", "of", "12", "13", "x", "\u6c42", "mean", "Sum,"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), max_size=7)


def shingled(text: str) -> set[str]:
    tokens = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    framed = f" {' '.join(tokens)} " if tokens else ""
    framed += " " * (4 - len(framed)) * bool(tokens)
    return {framed[i : i + 4] for i in range(len(framed) - 3)}


def quadratic(
    left: list[str], right: list[str], threshold: float, measure: Measure
) -> dict[tuple[int, int], float]:
    frequency = Counter(s for text in left + right for s in shingled(text))
    texts = len(left) + len(right)
    weight = {s: math.ceil(1024 * math.log1p(texts / df)) for s, df in frequency.items()}

    def w(found: set[str]) -> int:
        return sum(weight[s] for s in found)

    pairs = {}
    for i, a in enumerate(map(shingled, left)):
        for j, b in enumerate(map(shingled, right)):
            whole = w(a | b) if measure == "jaccard" else min(w(a), w(b))
            if (
                measure == "containment"
                and min(len(a), len(b)) < join.SHORT
                and 2 * whole < max(w(a), w(b))
            ):
                continue
            if whole and w(a & b) / whole >= threshold:
                pairs[i, j] = w(a & b) / whole
    return pairs


def joined(
    left: list[str], right: list[str], threshold: float, measure: Measure
) -> dict[tuple[int, int], float]:
    vocabulary = Vocabulary(left + right)
    pairs = similar_pairs(vocabulary.sets(left), vocabulary.sets(right), threshold, measure)
    return {
        (int(i), int(j)): float(s)
        for i, j, s in zip(pairs.i, pairs.j, pairs.similarity, strict=True)
    }


@pytest.mark.parametrize("measure", ["jaccard", "containment"])
@pytest.mark.parametrize("short", [5, 120])
@given(TEXTS, TEXTS, st.sampled_from([0.01, 0.2, 0.5, 0.6, 0.75, 0.9, 1.0]))
def test_no_pair_is_missed_and_none_invented(
    measure: Measure, short: int, left: list[str], right: list[str], threshold: float
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join, "SHORT", short)
        expected = quadratic(left, right, threshold, measure)
        assert joined(left, right, threshold, measure) == pytest.approx(expected)


@given(TEXTS, st.integers(1, 3))
def test_blocks_change_nothing(texts: list[str], block: int):
    whole = Vocabulary(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "BLOCK", block)
        parts = Vocabulary(texts)
    for name in ("codes_V", "rank_V", "weights_V"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


@pytest.mark.parametrize("measure", ["jaccard", "containment"])
def test_many_pairs_are_looked_at_in_parts(measure: Measure, monkeypatch: pytest.MonkeyPatch):
    texts = [f"what is the sum of {a} and {b}" for a in range(9) for b in range(9)]
    at_once = joined(texts, texts, 0.6, measure)
    monkeypatch.setattr("ttc_rl.corpus.overlap.join.PAIRS_AT_ONCE", 7)
    assert joined(texts, texts, 0.6, measure) == at_once
    assert at_once == pytest.approx(quadratic(texts, texts, 0.6, measure))


def test_a_frame_that_many_texts_share_weighs_little():
    tasks = [f"Write a python function that finds the {what}." for what in ("mode", "median")]
    more = [f"Write a python function that finds the {n}th root." for n in range(300)]
    framed = joined(tasks[:1], [*tasks[1:], *more], 0.01, "containment")[0, 0]
    alone = joined(tasks[:1], tasks[1:], 0.01, "containment")[0, 0]
    assert framed < 0.6 < 0.8 < alone


def test_too_many_different_characters_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shingles, "PLACES", 5)
    with pytest.raises(UserError, match="the texts hold 7 different characters"):
        Vocabulary(["abc", "def"])
