"""Embeddings: real MiniLM, unit rows in the order asked, from the cache the second time."""

import numpy as np
import pytest

from ttc_rl.config import EmbedConfig
from ttc_rl.embed import embed
from ttc_rl.schema import UserError

TEXTS = ["add two numbers", "sort the books by title", "add 2 numbers"]


def test_rows_are_unit_vectors_in_the_order_asked_and_similar_texts_are_near(cache):
    rows = embed(TEXTS, EmbedConfig(), lambda _: None)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert rows[0] @ rows[2] > rows[0] @ rows[1]
    assert embed(TEXTS[::-1], EmbedConfig(), lambda _: None) == pytest.approx(rows[::-1])


def test_only_new_texts_are_embedded(cache):
    said: list[str] = []
    embed([*TEXTS, "a new one"], EmbedConfig(), said.append)
    assert said[0].startswith("embedding 1 of 4") or said[0].startswith("embedding 4 of 4")
    said.clear()
    embed([*TEXTS, "a new one"], EmbedConfig(), said.append)
    assert not said


def test_an_unknown_model_is_one_line(cache):
    with pytest.raises(UserError, match=r"embed\.model 'no/such-model' cannot be loaded"):
        embed(TEXTS, EmbedConfig(model="no/such-model"), lambda _: None)
