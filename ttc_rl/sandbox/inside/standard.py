"""Values of the standard library and numpy that travel as the few plain parts they are made of."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, which takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

NAMED = ("deque", "Counter", "OrderedDict", "defaultdict", "Decimal", "Fraction", "date", "time")
NAMED += ("datetime", "timedelta", "ndarray")


def parts(value: Any) -> Any:
    """What rebuilds a value of the standard library or numpy; None for a stranger of that name."""
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


def build(name: str, parts: Any) -> Any:
    import collections
    import datetime

    if name in ("Counter", "OrderedDict", "defaultdict"):
        kind = collections.__dict__[name]
        spread([key for key, _ in expect(list, parts)])
        made = dict(parts)
        return kind(None, made) if name == "defaultdict" else kind(made)
    if name == "deque":
        return collections.deque(expect(list, parts[0]), parts[1])
    if name == "Decimal":
        import decimal

        return decimal.Decimal(expect(str, parts))
    if name == "Fraction":
        import fractions

        return fractions.Fraction(*(expect(int, part) for part in parts))
    if name == "ndarray":
        import numpy as np

        return np.array(expect(list, parts[0]), dtype=parts[1])
    if name == "timedelta":
        return datetime.timedelta(*(expect(int, part) for part in parts))
    return {"date": datetime.date, "time": datetime.time, "datetime": datetime.datetime}[
        name
    ].fromisoformat(parts)


def _expect(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{kind.__name__} expected")
    return value


def expect(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{kind.__name__} expected")
    return value


def spread(keys: list[Any]) -> list[Any]:
    """Refuses keys made to collide: a table of them takes quadratic time to build."""
    if len(keys) > 1000 and len(set(map(hash, keys))) < len(keys) // 2:
        raise ValueError("keys that collide")
    return keys
