"""Read the templates of this folder: `*.html.jinja` escape what they are given, others do not."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup

from ttc_rl.system.printable import in_markdown


def template(name: str) -> Template:
    """Return a template by the name of its file."""
    return _environment().get_template(name)


def part(name: str, **values: Any) -> Markup:
    """Return a part of a page: a macro of parts.html.jinja, filled in."""
    return getattr(template("parts.html.jinja").module, name)(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "in_markdown": in_markdown,
        "cell": _cell,
        "commas": "{:,}".format,
        "paragraph": _paragraph,
        "shortened": _shortened,
    }
    return environment


def _paragraph(text: str) -> str:
    """Join the lines of a paragraph of Markdown into one."""
    return " ".join(text.split()) + "\n"


def _cell(value: object) -> str:
    """Return the text for one cell of a Markdown table."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def _shortened(value: object, limit: int) -> str:
    """Return the text, cut to `limit` characters; what reads it escapes it."""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
