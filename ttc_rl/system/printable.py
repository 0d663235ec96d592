"""Text of others where it cannot act: on a terminal, and in a Markdown document."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~])")


class Terminal(Console):
    """A rich console that shows control characters and never obeys those of what it is given.

    An escape sequence in a task's prompt could else rewrite the screen or the clipboard, and a
    direction mark could turn an answer round. `:smile:` stays a word.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, highlight=False, emoji=False)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(_CONTROL.sub(_shown, text), style)


def in_markdown(text: str) -> str:
    """Return the text as itself for a paragraph or a table: no link, no markup, one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(_CONTROL.sub(_shown, text).split()))


def _shown(match: re.Match[str]) -> str:
    """Return a picture of the character: ␛ for an escape; � where Unicode has none."""
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "�"
