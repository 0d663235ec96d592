"""Many differences at once: p-values that keep the chance of one false alarm below 5 %."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values (Scand. J. Statist. 6, 1979), in the order given.

    Sorted, p'_(i) = max over j <= i of min(1, (m - j + 1) p_(j)). Holds whatever the dependence.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, so_far = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = so_far
    return adjusted
