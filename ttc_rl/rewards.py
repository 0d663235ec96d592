"""From a verdict to the number the optimiser sees."""

from __future__ import annotations

from ttc_rl.schema import Verdict


def reward(verdict: Verdict) -> float | None:
    """1 if correct, 0 if wrong, None if undecided: TRL leaves a None out of the group."""
    return None if verdict.correct is None else float(verdict.correct)
