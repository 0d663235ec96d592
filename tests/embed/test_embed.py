"""Embeddings: real MiniLM, unit rows in the order asked, from the cache the second time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from ttc_rl import embed as room
from ttc_rl.config import EmbedConfig
from ttc_rl.embed import embed, open_shards, write_shards
from ttc_rl.embed.encoders import KIND_SENTENCE, weights_of
from ttc_rl.schema import Task, UserError
from ttc_rl.vectors import Vectors

TEXTS = ["add two numbers", "sort the books by title, then by year", "add 2 numbers"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTC_RL_CACHE", str(tmp_path / "cache"))


def quiet(_: str) -> None:
    pass


def plain(texts: list[str]) -> np.ndarray:
    """What the library itself gives, one text at a time."""
    model = SentenceTransformer(str(weights_of(EmbedConfig(), None)))
    return np.stack([model.encode(text, normalize_embeddings=True) for text in texts])


def test_rows_are_the_librarys_in_the_order_asked():
    expected = plain(TEXTS)
    rows = embed(TEXTS, EmbedConfig(dtype="float32"))
    assert isinstance(rows, np.ndarray)
    assert rows.dtype == np.float32
    assert rows == pytest.approx(expected, abs=1e-6)
    assert embed(TEXTS[::-1], EmbedConfig(dtype="float32")) == pytest.approx(rows[::-1])
    halves = embed(TEXTS, EmbedConfig())
    assert np.array_equal(halves, np.asarray(halves).astype(np.float16))
    assert halves == pytest.approx(expected, abs=1e-3)


def test_the_prompt_and_the_kind_are_read_with_the_text():
    config = EmbedConfig(prompt="query: ", dtype="float32")
    assert embed(TEXTS, config) == pytest.approx(
        plain(["query: " + text for text in TEXTS]), abs=1e-6
    )
    tasks = [Task("math", "add two numbers"), Task("code", "add two numbers")]
    rows = embed(tasks, EmbedConfig(kind_sentence=True, dtype="float32"))
    expected = ["add two numbers" + KIND_SENTENCE.format(kind=kind) for kind in ("math", "code")]
    assert rows == pytest.approx(plain(expected), abs=1e-6)
    with pytest.raises(UserError, match="a bare text has no kind"):
        embed(TEXTS, EmbedConfig(kind_sentence=True))


def test_only_new_texts_are_embedded_and_each_once(said: list[str]):
    embed(TEXTS, EmbedConfig())
    said.clear()
    embed([*TEXTS, "a new one", "a new one"], EmbedConfig())
    assert said[0].startswith("embedding 1 of 5 texts")
    assert said[1].startswith("embedded 1 of 1 (")
    said.clear()
    embed([*TEXTS, "a new one"], EmbedConfig(batch=2))
    assert not said


def test_a_table_beyond_memory_is_read_from_the_shards(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "CHUNK", 2)
    asked = [TEXTS[2], TEXTS[0], TEXTS[2], TEXTS[1]]
    whole = embed(asked, EmbedConfig())
    view = embed(asked, EmbedConfig(), memory=4 * 384 * 4 - 1)
    assert isinstance(view, Vectors)
    assert view.dtype == np.float16
    assert len(view.shards) == 2
    assert np.array_equal(view[0:4].astype(np.float32), whole)


def test_two_processes_give_what_one_gives():
    texts = [f"{'add ' * (i % 9)}number {i}" for i in range(40)]
    code = (
        "import sys, numpy; from ttc_rl.embed import embed; from ttc_rl.config import EmbedConfig\n"
        "if __name__ == '__main__':\n"
        "    config = EmbedConfig(processes=2, dtype='float32', batch=8)\n"
        "    numpy.save(sys.argv[1], embed(sys.argv[2:], config))\n"
    )
    script = Path(os.environ["TTC_RL_CACHE"]).parent / "two.py"
    script.write_text(code)
    subprocess.run([sys.executable, script, script.with_suffix(".npy"), *texts], check=True)
    assert np.load(script.with_suffix(".npy")) == pytest.approx(plain(texts), abs=1e-6)


KILLED = """
import logging, sys
from ttc_rl import embed as room
from ttc_rl.config import EmbedConfig
room.CHUNK = 8
texts = [f"count to {i}" for i in range(400)]
logger = logging.getLogger("ttc_rl")
logger.addHandler(logging.StreamHandler(sys.stdout))
logger.setLevel(logging.INFO)
room.embed(texts, EmbedConfig(batch=2))
"""


def test_a_killed_run_goes_on_from_the_last_chunk(said: list[str]):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("embedding 400 of 400")
        seen = [process.stdout.readline() for _ in range(3)]
        process.kill()
        seen += process.stdout.read().splitlines()
    assert process.returncode == -signal.SIGKILL
    done = 8 * len(seen)
    assert 24 <= done < 400
    said.clear()
    texts = [f"count to {i}" for i in range(400)]
    rows = embed(texts, EmbedConfig())
    again = int(said[0].split()[1])
    assert 400 - done - 8 <= again <= 400 - done
    assert rows[:9] == pytest.approx(plain(texts[:9]), abs=1e-3)


@pytest.mark.parametrize("name", ["no/such-model", "no-such-model", "./no/such/folder"])
def test_an_unknown_model_is_one_line(name: str):
    with pytest.raises(UserError, match=rf"the encoder '.*{name}' cannot be loaded: .+") as error:
        embed(TEXTS, EmbedConfig(model=name))
    assert "\n" not in str(error.value)


def test_a_policy_without_a_recipe_is_one_line():
    with pytest.raises(UserError, match="needs a recipe"):
        embed(TEXTS, EmbedConfig(model="policy"))


def test_progress_says_how_long_still(monkeypatch: pytest.MonkeyPatch, said: list[str]):
    now = iter([0.0, 10.0, 25.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    said.clear()
    progress = room.Progress(["a" * 80, "b" * 20, "c" * 100])
    progress.add(["a" * 80])
    progress.add(["b" * 20])
    assert said == [
        "embedded 1 of 3 (0.1 texts/s, 0:00:15 left)",
        "embedded 2 of 3 (0.1 texts/s, 0:00:25 left)",
    ]


TASKS = [Task("math", f"{n} + {n % 5}") for n in range(10)]


def test_a_folder_made_ahead_is_used_and_not_embedded_again(tmp_path: Path, said: list[str]):
    write_shards(TASKS[:8], tmp_path / "ahead", EmbedConfig(), chunk=3)
    expected = embed(TASKS, EmbedConfig())
    said.clear()
    ahead = EmbedConfig(shards=[str(tmp_path / "ahead")], batch=3)
    (tmp_path / "cache").rename(tmp_path / "gone")
    assert embed(TASKS, ahead) == pytest.approx(expected, abs=1e-3)
    assert said[0].startswith("embedding 2 of 10")
    with pytest.raises(UserError, match="of another prompt"):
        embed(TASKS, ahead.model_copy(update={"prompt": "query: "}))
    with pytest.raises(UserError, match=r"holds no manifest\.json"):
        embed(TASKS, EmbedConfig(shards=[str(tmp_path / "nowhere")]))


def test_shards_in_the_corpus_order_go_on_where_they_stopped(tmp_path: Path, said: list[str]):
    write_shards(TASKS[:6], tmp_path / "out", EmbedConfig(), chunk=3)
    said.clear()
    write_shards(TASKS, tmp_path / "out", EmbedConfig(), chunk=3)
    assert said[0].endswith("6 rows are there already")
    assert said[-1].startswith("embedded 4 of 4")
    table = open_shards(tmp_path / "out")
    assert len(table.shards) == 4
    assert table[0:10].astype(np.float32) == pytest.approx(embed(TASKS, EmbedConfig()), abs=1e-3)
    with pytest.raises(UserError, match="row 0 is of another task"):
        write_shards(TASKS[::-1], tmp_path / "out", EmbedConfig())
    with pytest.raises(UserError, match="row 9 is of another task"):
        write_shards(TASKS[:9], tmp_path / "out", EmbedConfig())


@pytest.mark.parametrize("processes", [None, 2])
def test_bfloat16_is_near_float32_and_has_a_cache_of_its_own(processes: int | None):
    exact = np.asarray(embed(TEXTS, EmbedConfig(dtype="float32")))
    quick = EmbedConfig(dtype="float32", compute="bfloat16", processes=processes)
    found = np.asarray(embed(TEXTS, quick))
    assert found.dtype == np.float32
    cosine = (exact * found).sum(axis=1)
    assert cosine.min() > 0.999
    assert np.abs(exact - found).max() > 1e-5  # it is computed otherwise, also in processes
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5
    assert (np.asarray(embed(TEXTS, EmbedConfig(dtype="float32"))) == exact).all()


def test_vllm_computes_as_it_likes():
    with pytest.raises(ValueError, match="vLLM takes the model's own numbers"):
        EmbedConfig(backend="vllm", compute="bfloat16")
