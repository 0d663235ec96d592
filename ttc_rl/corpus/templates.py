"""Columns computed from a row: `columns: {prompt: "{{question}} ({{unit}})"}`, in Jinja.

A template that is one expression, `{{choices.text}}`, gives the value itself: a list stays a list.
It runs in Jinja's sandbox and sees the row's columns, the whole row as `record`, and a few of
Python's own functions.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined
from jinja2.sandbox import SandboxedEnvironment

from ttc_rl.schema import UserError, content_hash

FUNCTIONS = (
    str,
    int,
    float,
    bool,
    list,
    dict,
    zip,
    len,
    chr,
    ord,
    min,
    max,
    sum,
    sorted,
    enumerate,
)
"""Of Python, which a template may call."""
_ONE_EXPRESSION = re.compile(r"\s*\{\{(?:(?!\{\{|\}\}).)*\}\}\s*", re.DOTALL)


def is_template(column: str) -> bool:
    return "{{" in column or "{%" in column


def filled(template: str, row: Mapping[str, Any]) -> Any:
    """Return what a template makes of a row; None where a column that it needs is missing.

    Raises ValueError, in words for the row's author, where it cannot be computed.
    """
    try:
        value = _compiled(template)({"record": row} | dict(row))
    except TemplateError as error:
        if "is undefined" in str(error) or "has no attribute" in str(error):
            return None
        raise ValueError(f"{template}: {error}") from None
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{template}: {error}") from None
    return None if isinstance(value, Undefined) else value


def check_template(template: str) -> None:
    """Raise UserError where a template cannot be read."""
    try:
        _compiled(template)
    except TemplateError as error:
        raise UserError(f"columns: {template!r} is no template: {error}") from None


@functools.cache
def _compiled(template: str) -> Callable[[Mapping[str, Any]], Any]:
    environment = _environment()
    if _ONE_EXPRESSION.fullmatch(template):
        expression = environment.compile_expression(template.strip()[2:-2], undefined_to_none=False)
        return lambda columns: expression(**columns)
    return environment.from_string(template).render


@functools.cache
def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.globals.update({function.__name__: function for function in FUNCTIONS})
    environment.filters |= {
        "regex_replace": _regex_replace,
        "text": _text,
        "by_hash": by_hash,
        "kind_of_gold": kind_of_gold,
        "kind_of_number": kind_of_number,
    }
    return environment


def _regex_replace(text: Any, pattern: str, replacement: str = "", count: int = 0) -> str:
    return re.sub(pattern, replacement, str(text), count=count)


def _text(value: Any) -> str:
    """Return a number or a text as text. Raises ValueError for a list, which is several golds."""
    if not isinstance(value, str | int | float | Undefined):
        raise ValueError(f"{value!r} is not one answer")
    return str(value)


def by_hash(options: Sequence[Any]) -> list[str]:
    """Return options in an order made of their hashes: where a format lists the right one always in
    the same place."""
    texts = [str(option) for option in options]
    return sorted(texts, key=lambda text: content_hash([texts, text]))


def is_number(text: Any) -> bool:
    """Return whether a gold is a number: `1,234`, `-0.5`, `$7`, `3/4`, `12%`."""
    return bool(_NUMBER.fullmatch(str(text).strip()))


_NUMBER = re.compile(r"[-+]?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?\s*%?")


def kind_of_gold(gold: Any) -> str:
    """Return `math` for a number or LaTeX, else `exact`."""
    text = str(gold).strip()
    return "math" if is_number(text) or "\\" in text or "$" in text else "exact"


def kind_of_number(gold: Any) -> str:
    """Return `math`. Raises ValueError for a gold in words: how it is compared is not known."""
    if kind_of_gold(gold) != "math":
        raise ValueError(f"its grading is Python code, which is not run, and {gold!r} is no number")
    return "math"
