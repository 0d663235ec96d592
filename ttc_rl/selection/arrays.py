"""The few operations in which numpy and torch differ, so that one greedy runs on both.

Everything else is spelt the same in both: `@`, slices, `sum(axis=...)`, augmented assignment.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
"""A numpy array, or a torch tensor on the device."""


class Numpy:
    """The host's memory and its cores."""

    threads = True
    float32, float64, bool = np.float32, np.float64, np.bool_
    einsum: Any = staticmethod(np.einsum)
    where: Any = staticmethod(np.where)
    outer: Any = staticmethod(np.outer)
    stack: Any = staticmethod(np.stack)

    def array(self, values: Any, dtype: Any = None) -> Array:
        return np.asarray(values, dtype)

    def full(self, shape: int | tuple[int, ...], value: float, dtype: Any) -> Array:
        return np.full(shape, value, dtype)

    def copy(self, values: Array) -> Array:
        return values.copy()

    def host(self, values: Array) -> np.ndarray:
        return values

    def nonzero(self, flags: Array) -> Array:
        return np.flatnonzero(flags)

    def largest(self, values: Array, count: int) -> Array:
        """Return positions of the `count` largest values, in ascending order of position."""
        return np.sort(np.argpartition(-values, count)[:count])


class Torch:
    """A torch device: `cuda`, `cuda:1`, or `cpu` to check that both give the same picks."""

    threads = False

    def __init__(self, device: str) -> None:
        import torch

        self.torch, self.device = torch, torch.device(device)
        self.float32, self.float64, self.bool = torch.float32, torch.float64, torch.bool
        self.einsum, self.where = torch.einsum, torch.where
        self.outer, self.stack = torch.outer, torch.stack

    def array(self, values: Any, dtype: Any = None) -> Array:
        if isinstance(values, np.ndarray) and not values.flags.writeable:
            values = values.copy()
        return self.torch.as_tensor(values, dtype=dtype, device=self.device)

    def full(self, shape: int | tuple[int, ...], value: float, dtype: Any) -> Array:
        shape = (shape,) if isinstance(shape, int) else shape
        return self.torch.full(shape, value, dtype=dtype, device=self.device)

    def copy(self, values: Array) -> Array:
        return values.clone()

    def host(self, values: Array) -> np.ndarray:
        return values.cpu().numpy()

    def nonzero(self, flags: Array) -> Array:
        return flags.nonzero()[:, 0]

    def largest(self, values: Array, count: int) -> Array:
        return values.topk(count, sorted=False).indices.sort().values


def arrays_on(device: str | None) -> Numpy | Torch:
    """Return numpy where no device is named, else torch on that device."""
    return Numpy() if device is None else Torch(device)
