"""Several files as one table: the same rows as the array they were cut from."""

from pathlib import Path

import numpy as np
import pytest

from ttc_rl.schema import UserError
from ttc_rl.vectors import Vectors


def shards_of(rows: np.ndarray, cuts: list[int], folder: Path) -> list[Path]:
    paths = [folder / f"{i}.npy" for i in range(len(cuts) + 1)]
    for path, part in zip(paths, np.split(rows, cuts), strict=True):
        np.save(path, part)
    return paths


@pytest.mark.parametrize("cuts", [[], [4], [1, 1, 9], [10]])
def test_it_reads_like_the_array_it_was_cut_from(tmp_path: Path, cuts: list[int]):
    rows = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float16)
    table = Vectors(shards_of(rows, cuts, tmp_path))
    assert (table.shape, table.dtype, len(table)) == ((10, 3), np.float16, 10)
    wanted = np.array([7, 0, 9, 7, 3])
    for asked in (slice(0, 10), slice(3, 8), slice(8, 20), slice(5, 5), wanted, wanted[:0]):
        assert np.array_equal(table[asked], rows[asked])
    some = table.subset(wanted)
    assert some.shape == (5, 3)
    assert np.array_equal(some[1:4], rows[wanted][1:4])
    assert np.array_equal(some.subset(np.array([4, 0]))[:], rows[[3, 7]])


def test_what_cannot_be_read_is_named(tmp_path: Path):
    paths = shards_of(np.zeros((4, 3)), [2], tmp_path)
    np.save(tmp_path / "other.npy", np.zeros((2, 5)))
    with pytest.raises(UserError, match=r"other\.npy: holds float64 of shape \(2, 5\)"):
        Vectors([*paths, tmp_path / "other.npy"])
    with pytest.raises(UserError, match=r"gone\.npy: cannot be read"):
        Vectors([tmp_path / "gone.npy"])
    with pytest.raises(IndexError):
        Vectors(paths)[np.array([4])]
