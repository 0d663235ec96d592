"""40 hostile programs in a row in each sandbox: nothing is left over.

tests/benchmarks/hostile.py runs 2,000.
"""

import os
from typing import Any

import hostile_row
import pytest
from hostile_row import leftovers

from ttc_rl.schema import Verdict
from ttc_rl.verifiers.sandbox import Sandbox


def test_many_hostile_programs_leave_nothing(sandbox: Sandbox):
    assert leftovers(sandbox, 40) == {}


def test_what_is_left_over_is_seen(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    opened = []

    def leaking(*arguments: Any) -> Verdict:
        opened.append(os.pipe())
        return Verdict(False)

    monkeypatch.setattr(hostile_row.programs, "verify", leaking)
    monkeypatch.setattr(hostile_row, "WAIT", 0.1)
    found = leftovers(sandbox, 3)
    for fd in [fd for pair in opened for fd in pair]:
        os.close(fd)
    assert found.keys() == {"descriptors"}
