"""Shards and their manifest: what was cut or altered is found, and never read as if whole."""

import json
from pathlib import Path

import numpy as np
import pytest

from ttc_rl.embed.shards import Shards, open_shards
from ttc_rl.schema import UserError

ABOUT = {"model": "m", "prompt": "", "dtype": "float16"}


def rows(start: int) -> np.ndarray:
    return np.arange(start, start + 6, dtype=np.float32).reshape(2, 3)


def three(folder: Path) -> Shards:
    shards = Shards(folder, ABOUT)
    for start, keys in ((0, ["a", "b"]), (6, ["c", "d"]), (12, ["e", "f"])):
        shards.append(keys, rows(start), [key.upper() for key in keys])
    return shards


def test_what_was_appended_is_there_when_opened_anew(tmp_path: Path):
    three(tmp_path)
    again = Shards(tmp_path, ABOUT)
    assert [*again.names()] == [(key, key.upper()) for key in "abcdef"]
    table = open_shards(tmp_path)
    assert (table.shape, table.dtype) == ((6, 3), np.float16)
    assert np.array_equal(table[0:6], np.arange(18).reshape(6, 3))
    assert sorted(tmp_path.glob("*.npy")) == table.shards
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["count"], manifest["dimensions"], manifest["model"]) == (6, 3, "m")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def alter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize("harm", [cut, alter, Path.unlink])
@pytest.mark.parametrize("suffix", [".npy", ".txt"])
def test_a_damaged_shard_is_found(tmp_path: Path, harm, suffix: str, said: list[str]):
    second = three(tmp_path).paths()[1].with_suffix(suffix)
    harm(second)
    with pytest.raises(UserError, match=rf"{second.name} is (missing|not what)"):
        open_shards(tmp_path)
    with pytest.raises(UserError, match=rf"{second.name} is (missing|not what)"):
        Shards(tmp_path, ABOUT, damaged="refuse")
    said.clear()
    cache = Shards(tmp_path, ABOUT)
    assert "its texts are embedded again" in said[0]
    assert [key for key, _ in cache.names()] == ["a", "b", "e", "f"]


def test_an_ordered_table_keeps_what_stands_before_the_damage(tmp_path: Path):
    cut(three(tmp_path).paths()[1])
    left = Shards(tmp_path, ABOUT, damaged="cut")
    assert [key for key, _ in left.names()] == ["a", "b"]
    left.append(["c", "d"], rows(6))
    assert [key for key, _ in Shards(tmp_path, ABOUT).names()] == ["a", "b", "c", "d"]
    assert np.array_equal(open_shards(tmp_path)[0:4], np.arange(12).reshape(4, 3))


def test_a_shard_that_no_manifest_names_does_not_count(tmp_path: Path):
    shards = three(tmp_path)
    before = (tmp_path / "manifest.json").read_text()
    shards.append(["g"], rows(18)[:1])
    (tmp_path / "manifest.json").write_text(before)  # as if killed just before it was written
    assert Shards(tmp_path, ABOUT).count == 6


def test_two_writers_of_one_cache_keep_each_others_shards(tmp_path: Path):
    one, other = Shards(tmp_path, ABOUT), Shards(tmp_path, ABOUT)
    one.append(["a", "b"], rows(0))
    other.append(["c", "d"], rows(6))
    one.append(["e", "f"], rows(12))
    assert {key for key, _ in Shards(tmp_path, ABOUT).names()} == set("abcdef")


def test_a_folder_of_other_vectors_is_refused(tmp_path: Path):
    three(tmp_path)
    with pytest.raises(UserError, match=r"of another prompt \('', now 'query: '\)"):
        Shards(tmp_path, {**ABOUT, "prompt": "query: "})
    with pytest.raises(UserError, match=r"holds no manifest\.json"):
        open_shards(tmp_path / "nowhere")
