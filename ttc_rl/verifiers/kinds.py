"""The built-in kinds of task. A new one is a module with its `KIND`, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from ttc_rl.verifiers import choices, exact, judge, maths, programs
from ttc_rl.verifiers.kind import Kind

__all__ = ["KINDS", "Kind"]

KINDS: Mapping[str, Kind] = {
    "math": maths.KIND,
    "exact": exact.KIND,
    "choice": choices.KIND,
    "code": programs.KIND,
    "judge": judge.KIND,
}
