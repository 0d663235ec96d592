"""One row of a file or data set -> one `Task`, or a line that says what is wrong with it."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ttc_rl.corpus.templates import check_template, filled, is_template
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers.choices import label
from ttc_rl.verifiers.kinds import KINDS

FIELDS = ("prompt", "gold", "tests", "kind", "source", "id", "split", "meta")


class BadRow(Exception):
    """The fault of a row, in words for its author."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as read: where it stood, and its columns, or what was wrong before it had any."""

    where: str
    """`file:line`, or `data set:row`."""
    value: Any = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RowReader:
    """How rows become tasks.

    `columns` maps a task field (`gold`, or `meta.level`) to a column; a dotted column reaches into
    nested ones (`reward_model.ground_truth`, `messages.0.content`); one with braces is a template
    (templates.py). `gold_after` keeps what follows the last such mark in the gold (GSM8K's `####`).
    """

    columns: Mapping[str, str]
    kind: str | None = None
    source: str = ""
    gold_after: str | None = None
    meta: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Added to each task's own."""
    kinds: Collection[str] = ()
    """Names of a recipe's own kinds, which rows may have besides the built-in ones."""

    def __post_init__(self) -> None:
        for field in self.columns:
            if field not in FIELDS and not field.startswith("meta."):
                close = difflib.get_close_matches(field, FIELDS, n=1)
                hint = close[0] if close else "gold" if field == "answer" else ""
                raise UserError(
                    f"columns: a task has no field {field!r}"
                    + (f"; did you mean {hint}?" if hint else f"; it has {', '.join(FIELDS)}")
                )
        for column in filter(is_template, self.columns.values()):
            check_template(column)
        if self.kind is not None:
            known_kind(self.kind, self.kinds)

    def task(self, value: Any) -> Task:
        """Return the task of a row. Raises BadRow."""
        if not isinstance(value, Mapping):
            raise BadRow(f"a row is an object with columns, got {_type(value)}")
        row = cast(Mapping[str, Any], value)
        kind = self.kind or self._kind(row)
        gold, tests = self._gold(row), self._tests(row)
        tested = kind in KINDS and KINDS[kind].tested
        if tested and not tests:
            raise BadRow(f"no tests (a {kind} task needs them)")
        if not tested and gold is None:
            raise BadRow(f"no gold: column {self._column('gold', row)!r} is missing or empty")
        source = self._get(row, "source") or self.source
        prompt, meta = self._prompt(row), self._meta(row)
        if kind == "choice":
            prompt, gold = _with_options(prompt, gold, self._get(row, "gold"), meta)
        try:
            return Task(kind, prompt, gold, tests, str(source), meta)
        except UnicodeEncodeError:
            raise BadRow("holds half of a surrogate pair, which is not text") from None
        except TypeError as error:
            raise BadRow(f"tests: {error}") from None

    def _column(self, field: str, row: Mapping[str, Any]) -> str:
        if field == "gold" and "gold" not in self.columns:
            return "answer" if "answer" in row or "gold" not in row else "gold"
        return self.columns.get(field, field)

    def _get(self, row: Mapping[str, Any], field: str) -> Any:
        column = self._column(field, row)
        if not is_template(column):
            return reach(row, column)
        try:
            return filled(column, row)
        except ValueError as error:
            raise BadRow(f"{field}: {error}") from None

    def _kind(self, row: Mapping[str, Any]) -> str:
        kind = self._get(row, "kind")
        if kind is None and is_template(column := self._column("kind", row)):
            raise BadRow(f"no kind: {column} names a column that is missing{_others(row)}")
        if kind is None:
            raise BadRow(
                f"no kind, and a format that I do not know{_others(row)}; give the source a kind "
                "and columns, e.g. `kind: math, columns: {prompt: NAME, gold: NAME}`"
            )
        try:
            return known_kind(kind, self.kinds)
        except UserError as error:
            raise BadRow(str(error)) from None

    def _prompt(self, row: Mapping[str, Any]) -> str:
        name, prompt = self._column("prompt", row), self._get(row, "prompt")
        if prompt is None:
            raise BadRow(f"no prompt: column {name!r} is missing{_others(row)}")
        if not isinstance(prompt, str):
            raise BadRow(f"prompt: column {name!r} should be text, got {_type(prompt)}")
        if not prompt.strip():
            raise BadRow(f"prompt: column {name!r} is empty")
        return prompt

    def _gold(self, row: Mapping[str, Any]) -> str | None:
        gold = self._get(row, "gold")
        if isinstance(gold, float) and not math.isfinite(gold):
            name = self._column("gold", row)
            raise BadRow(f"gold: column {name!r} holds {gold}, which is no answer")
        if isinstance(gold, int | float) and not isinstance(gold, bool):
            gold = str(gold)
        if gold is not None and not isinstance(gold, str):
            name = self._column("gold", row)
            raise BadRow(f"gold: column {name!r} should be text or a number, got {_type(gold)}")
        if gold and self.gold_after is not None:
            _, mark, gold = gold.rpartition(self.gold_after)
            if not mark:
                raise BadRow(f"gold: nothing is marked with {self.gold_after!r}")
        return gold.strip() or None if gold else None

    def _tests(self, row: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """Return the tests: a list of objects, or of the JSON text of one, in which some data sets
        store them."""
        tests = self._get(row, "tests")
        if tests is None:
            return ()
        if isinstance(tests, str):
            try:
                tests = json.loads(tests)
            except (ValueError, RecursionError) as error:
                raise BadRow(f"tests: not JSON: {error}") from None
        if not isinstance(tests, list) or not all(isinstance(test, Mapping) for test in tests):
            raise BadRow(f"tests: should be a list of objects, got {_type(tests)}")
        return tuple(cast(list[Mapping[str, Any]], tests))

    def _meta(self, row: Mapping[str, Any]) -> dict[str, Any]:
        meta = self._get(row, "meta")
        if meta is not None and not isinstance(meta, Mapping):
            raise BadRow(f"meta: should be an object, got {_type(meta)}")
        merged = {**self.meta, **cast(Mapping[str, Any], meta or {})}
        columns = {f: f for f in ("id", "split")}
        columns |= {f: f.removeprefix("meta.") for f in self.columns if f.startswith("meta.")}
        for field, key in columns.items():
            value = self._get(row, field)
            if value is not None:
                merged[key] = value
        return merged


def _with_options(
    prompt: str, gold: str | None, raw: Any, meta: Mapping[str, Any]
) -> tuple[str, str | None]:
    """Return the prompt with its options shown, and the gold as a letter where it is an index.

    Raises BadRow where there are no options to show.
    """
    options = [str(option) for option in meta.get("options") or ()]
    if isinstance(raw, int) and options:
        if not 0 <= raw < len(options):
            raise BadRow(f"gold: {raw} is the index of none of {len(options)} options")
        gold = label(raw)
    if all(re.search(rf"(?m)^\W*{letter}[).:\]]", prompt) for letter in "AB"):
        return prompt, gold
    if options and all(option in prompt for option in options):
        return prompt, gold
    if not options:
        raise BadRow(
            "a choice task shows no options: list them in the prompt (A. ..., B. ...), or name "
            "their column: `columns: {meta.options: choices}`"
        )
    listed = (f"{label(i)}. {option}" for i, option in enumerate(options))
    return f"{prompt}\n\n" + "\n".join(listed), gold


def known_kind(kind: Any, kinds: Collection[str] = ()) -> str:
    """Return the kind. Raises UserError for one that is neither built in nor among `kinds`."""
    names = [*KINDS, *kinds]
    if kind in names:
        return kind
    close = difflib.get_close_matches(str(kind), names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"
    raise UserError(f"unknown kind {kind!r}; {hint}")


def reach(row: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column; None where it is missing. A column whose name has dots goes
    first."""
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        if isinstance(value, Mapping):
            value = cast(Mapping[str, Any], value).get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = cast(list[Any], value)[int(part)]
        else:
            return None
    return value


def _others(row: Mapping[str, Any]) -> str:
    names = ", ".join(list(row)[:8])
    return f" (the row has {names})" if names else " (the row is empty)"


def _type(value: Any) -> str:
    names = {"str": "text", "dict": "an object", "list": "a list", "bool": "true or false"}
    return names.get(type(value).__name__, "null" if value is None else type(value).__name__)
