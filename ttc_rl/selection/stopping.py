"""Rules for when a curriculum is long enough.

remaining   whatever further tasks of the corpus were added, up to the size asked for, they could
            take off no more than this share of the targets' variance at the start: certified
adaptive    adaptive SIFT's rule (arXiv 2410.08020, section 5): go on to n tasks only while the
            variance left, as a share of the start, is at most 1 / (alpha n)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ttc_rl.schema import UserError
from ttc_rl.selection.posterior import Observation

FIRST, GROWTH = 8, 1.25
"""`remaining` is checked at this number of picks, and whenever it has grown by this factor."""


@dataclass(frozen=True)
class Stop:
    remaining: float | None = None
    adaptive: float | None = None
    """alpha; the paper has 0.15 to 0.5."""

    def __post_init__(self) -> None:
        rules = [value for value in (self.remaining, self.adaptive) if value is not None]
        if len(rules) != 1 or rules[0] <= 0:
            raise UserError("selection.stop needs one of remaining and adaptive, above 0")


def until(
    stop: Stop,
    observed: Iterable[Observation],
    picks: list[int],
    variances: list[float],
    bound: Callable[[list[int]], float],
) -> Iterator[Observation]:
    """Yield the observations until the rule is met.

    `picks` were made before, and `variances` are the targets' before and after each of them.
    `bound(picks)` is what no curriculum of the size asked for comes below.
    """
    picks, start, variance = list(picks), variances[0], variances[-1]
    check = float(FIRST)
    for seen in observed:
        picks.append(seen.index)
        variance -= seen.gain
        if stop.adaptive is not None and variance > start / (stop.adaptive * len(picks)):
            return
        yield seen
        if stop.remaining is not None and len(picks) >= check:
            check = GROWTH * len(picks)
            if variance - bound(picks) <= stop.remaining * start:
                return
