"""Parts of a task that are compared: tokens, plain text, content."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterable

from ttc_rl.schema import Task

_TOKEN = re.compile(r"[^\W_]+")


def folded(text: str) -> str:
    """Return a text in NFKC and lower case."""
    return unicodedata.normalize("NFKC", text).lower()


def tokens_of(text: str) -> list[str]:
    """Return the runs of letters and digits."""
    return _TOKEN.findall(folded(text))


def token_spans(text: str) -> list[tuple[int, int]]:
    """Return the place of each token in `folded(text)`."""
    return [match.span() for match in _TOKEN.finditer(folded(text))]


def plain_text(text: str) -> str:
    """Return the text that `exact` compares: the plain one, or for a prompt without letter or digit
    the prompt itself."""
    return "".join(tokens_of(text)) or folded(text)


def content_of(task: Task) -> tuple[str | None, str] | None:
    """Return (family, content) of a procedural task, whatever its wording."""
    content = task.meta.get("content")
    return None if content is None else (task.meta.get("family"), str(content))


def first_rows(keys: Iterable[Hashable | None]) -> dict[Hashable, int]:
    """Return, for each key, the first row that has it. None is no key."""
    rows: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        if key is not None:
            rows.setdefault(key, row)
    return rows
