"""What the shapes are made of: rows in our fields, and columns that hold JSON."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ttc_rl.verifiers.choices import label

Row = Mapping[str, Any]


def choice_row(name: Any, question: str, options: Sequence[str], gold: str, **meta: Any) -> Row:
    """Return a row of multiple choice that shows its options, a letter before each."""
    listed = "\n".join(f"{label(i)}. {option}" for i, option in enumerate(options))
    return {
        "kind": "choice",
        "id": str(name),
        "prompt": f"{question}\n\n{listed}",
        "answer": gold,
        "meta": present(question=question, options=list(options), **meta),
    }


def code_row(name: Any, prompt: str, tests: Sequence[Row], **meta: Any) -> Row:
    """Return a row of a programming problem."""
    return {
        "kind": "code",
        "id": str(name),
        "prompt": prompt,
        "tests": list(tests),
        "meta": present(**meta),
    }


def math_row(name: Any, prompt: str, gold: Any, **meta: Any) -> Row:
    """Return a row of a maths problem; `name` may be None."""
    row = {"kind": "math", "prompt": prompt, "answer": gold, "meta": present(**meta)}
    return row if name is None else row | {"id": str(name)}


def present(**meta: Any) -> dict[str, Any]:
    """Return what is neither None nor empty."""
    return {key: value for key, value in meta.items() if value not in (None, "", [])}


def as_object(text: Any) -> Row:
    """Return the object that a column holds, as it stands or as JSON text; empty for any other."""
    value = json.loads(text) if isinstance(text, str) and text.strip() else text
    return value if isinstance(value, Mapping) else {}


def entered(text: Any) -> Any:
    """Return what JSON text holds, or Python's notation of it, however often it is packed."""
    while isinstance(text, str):
        try:
            text = json.loads(text)
        except ValueError:
            try:
                return ast.literal_eval(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return text
    return text
