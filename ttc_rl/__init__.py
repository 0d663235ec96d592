"""Train a language model for the test it is about to take (test-time curricula with SIFT and GRPO).

The names below work without torch, TRL or vLLM and are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ttc_rl.corpus.sources import load_tasks
    from ttc_rl.metrics import maj_at_k, pass_at_k
    from ttc_rl.schema import Pick, Task, UserError, Verdict
    from ttc_rl.selection import select
    from ttc_rl.verifiers import verify, verify_many

__version__ = "0.1.0"

_HOME = {
    "Pick": "schema",
    "Task": "schema",
    "UserError": "schema",
    "Verdict": "schema",
    "load_tasks": "corpus.sources",
    "maj_at_k": "metrics",
    "pass_at_k": "metrics",
    "select": "selection",
    "verify": "verifiers",
    "verify_many": "verifiers",
}

__all__ = [
    "Pick",
    "Task",
    "UserError",
    "Verdict",
    "load_tasks",
    "maj_at_k",
    "pass_at_k",
    "select",
    "verify",
    "verify_many",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ttc_rl' has no attribute {name!r}")
    return getattr(import_module(f"ttc_rl.{_HOME[name]}"), name)
