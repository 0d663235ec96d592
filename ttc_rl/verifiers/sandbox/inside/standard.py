"""Values of the standard library and numpy that travel as the few plain parts they are made of."""

from __future__ import annotations

import time

TYPE_CHECKING = False  # as typing's, which takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

NAMED = ("deque", "Counter", "OrderedDict", "defaultdict", "Decimal", "Fraction", "date", "time")
NAMED += ("datetime", "timedelta", "ndarray")


def parts(value: Any) -> Any:
    """Return what rebuilds a value of the standard library or numpy; None for a stranger of that
    name."""
    kind = type(value)
    if kind.__module__ == "collections":
        if kind.__name__ == "deque":
            return [list(value), value.maxlen]
        return list(value.items())
    if kind.__module__ == "decimal":
        return str(value)
    if kind.__module__ == "fractions":
        return [value.numerator, value.denominator]
    if kind.__module__ == "datetime":
        if kind.__name__ == "timedelta":
            return [value.days, value.seconds, value.microseconds]
        return value.isoformat()
    return [value.tolist(), str(value.dtype)] if kind.__module__ == "numpy" else None


def build(name: str, parts: Any, tables: Tables) -> Any:
    import collections
    import datetime

    if name in ("Counter", "OrderedDict", "defaultdict"):
        kind = collections.__dict__[name]
        pairs = expect(list, parts)
        mapping = tables.new_dict([key for key, _ in pairs], [value for _, value in pairs])
        return kind(None, mapping) if name == "defaultdict" else kind(mapping)
    if name == "deque":
        return collections.deque(expect(list, parts[0]), parts[1])
    if name == "Decimal":
        import decimal

        return decimal.Decimal(_short(expect(str, parts), len(parts)))
    if name == "Fraction":
        import fractions

        return fractions.Fraction(
            *(_short(expect(int, part), part.bit_length() // 3) for part in parts)
        )
    if name == "ndarray":
        import numpy as np

        return np.array(expect(list, parts[0]), dtype=parts[1])
    if name == "timedelta":
        return datetime.timedelta(*(expect(int, part) for part in parts))
    return {"date": datetime.date, "time": datetime.time, "datetime": datetime.datetime}[
        name
    ].fromisoformat(parts)


def expect(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{kind.__name__} expected")
    return value


LONGEST = 100_000
"""Digits of a Decimal or of the parts of a Fraction: common divisors take quadratic time."""


def _short(value: Any, digits: int) -> Any:
    if digits > LONGEST:
        raise ValueError(f"more than {LONGEST} digits")
    return value


class Tables:
    """Builds sets and dicts of keys that may be made to collide, which takes quadratic time.

    The processor time of all of them together is bounded. Equal hashes are not the only way to
    collide, so time is what is looked at, between small groups of keys.
    """

    SECONDS, PER_KEY = 1.0, 2e-6
    GROUP = 16
    NESTED = 100
    """Tuples in tuples in a key: hashing them is a recursion in C that nothing stops."""

    def __init__(self) -> None:
        self.left = self.SECONDS

    def new_set(self, keys: list[Any]) -> set[Any]:
        members: set[Any] = set()
        self._fill(keys, members.update)
        return members

    def new_frozenset(self, keys: list[Any]) -> frozenset[Any]:
        return frozenset(self.new_set(keys))

    def new_dict(self, keys: list[Any], values: list[Any]) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        rest = iter(values)
        self._fill(keys, lambda group: mapping.update(zip(group, rest, strict=False)))
        return mapping

    def pairs(self, items: list[Any]) -> dict[Any, Any]:
        """Return a dict of keys and values by turns."""
        if len(items) % 2:
            raise ValueError("a key without a value")
        return self.new_dict(items[::2], items[1::2])

    def _fill(self, keys: list[Any], add: Any) -> None:
        self._refuse_deep(keys)
        self.left += self.PER_KEY * len(keys)
        for start in range(0, len(keys), self.GROUP):
            began = time.thread_time()
            add(keys[start : start + self.GROUP])
            self.left -= time.thread_time() - began
            if self.left < 0:
                raise ValueError("keys that collide")

    def _refuse_deep(self, keys: list[Any]) -> None:
        """Refuse deep keys: a frozenset keeps its hash, and its parts were looked at when it was
        built."""
        level = [key for key in keys if isinstance(key, tuple)]
        for _ in range(self.NESTED):
            if not level:
                return
            level = [part for key in level for part in key if isinstance(part, tuple)]
        raise ValueError("a key nested too deeply")
