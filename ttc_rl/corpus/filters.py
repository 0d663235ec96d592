"""Which rows of a source are taken: conditions on its columns, and enough tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ttc_rl.config import ConditionConfig
from ttc_rl.corpus.rows import BadRow, reach
from ttc_rl.schema import Task

LONG_INPUT = 1000
"""Characters of a first test's input that stand for many small tests (a whole batch of cases)."""


def wanted(row: Any, where: Mapping[str, ConditionConfig]) -> bool:
    """Return whether a raw row fulfils every condition. Raises BadRow where a column is missing."""
    if not isinstance(row, Mapping):
        return True  # the reader reports it as a bad row
    return all(_holds(row, column, condition) for column, condition in where.items())


def _holds(row: Mapping[str, Any], column: str, condition: ConditionConfig) -> bool:
    value = reach(row, column)
    if value is None and column not in row:
        raise BadRow(f"where: there is no column {column!r}")
    if condition.one_of is not None and value not in condition.one_of:
        return False
    if condition.none_of is not None and value in condition.none_of:
        return False
    if condition.before is not None and not str(value or "") < condition.before:
        return False
    return condition.contains is None or condition.contains in str(value or "")


def tested(task: Task, least: int | None) -> bool:
    """Return whether a program has `least` tests, or a first one whose input is long enough to hold
    many cases."""
    if least is None or len(task.tests) >= least:
        return True
    return bool(task.tests) and len(str(task.tests[0].get("input", ""))) >= LONG_INPUT
