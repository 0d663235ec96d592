"""HTML in small pieces. Every text that a model or a data set wrote goes through `text`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ttc_eval.compare.summary import ARM_ORDER
from ttc_eval.report.tables import Table

TEMPLATE = Path(__file__).with_name("report.html")
HUES = (5, 285, 145, 40, 190, 325, 90, 250)
"""Of arms that have no colour of their own, in the order in which they appear."""


def page(title: str, body: str) -> str:
    """The template filled in one pass, so that what is put in is not read as a template again."""
    parts = {"title": text(title), "body": body, "colours": _colours(body)}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], TEMPLATE.read_text())


def text(value: Any, limit: int | None = None) -> str:
    """Escaped, and shortened to `limit` characters."""
    plain = str(value)
    if limit is not None and len(plain) > limit:
        plain = plain[: limit - 1].rstrip() + "…"
    return escape(plain)


def css_class(arm: str) -> str:
    """The class that carries an arm's colour, the same in every chart; experts have their arm's."""
    name = arm.partition("/")[0]
    return name if name in ARM_ORDER else "arm-" + re.sub(r"[^\w-]+", "-", name)


def _colours(body: str) -> str:
    """A rule for each arm in the page that the template does not know."""
    arms = dict.fromkeys(re.findall(r'class="(?:[^"]* )?(arm-[\w-]+)', body))
    return "\n".join(
        f".{arm} {{ color: light-dark(hsl({hue} 55% 42%), hsl({hue} 65% 70%)); }}"
        for arm, hue in zip(arms, itertools.cycle(HUES), strict=False)
    )


def section(name: str, title: str, *parts: str) -> str:
    return f'<section id="{name}"><h2>{text(title)}</h2>{"".join(parts)}</section>'


def paragraph(sentence: str, css: str = "") -> str:
    return f'<p class="{css}">{text(sentence)}</p>' if css else f"<p>{text(sentence)}</p>"


def figure(svg: str, caption: str = "") -> str:
    under = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{under}</figure>"


def legend(arms: Iterable[str]) -> str:
    marks = "".join(f'<span class="{css_class(a)}"><b>{text(a)}</b></span>' for a in arms)
    return f'<div class="legend">{marks}</div>'


def details(summary: str, inside: str) -> str:
    return f"<details><summary>{text(summary)}</summary>{inside}</details>"


def number_table(table: Table) -> str:
    """A table of estimates; the interval is set back behind its value."""
    head = "".join(f"<th>{text(column)}</th>" for column in table.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_set_back(cell)}</td>' for cell in row)}</tr>" for row in table.rows
    )
    note = paragraph(table.note, "note") if table.note else ""
    return (
        f'<div class="scroll"><table><caption>{text(table.title)}</caption><thead><tr>{head}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>{note}"
    )


def _set_back(cell: str) -> str:
    value, bracket, interval = text(cell).partition(" [")
    return f'{value} <span class="interval">[{interval}</span>' if bracket else value


def text_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], wide: Sequence[str]) -> str:
    """A table of words; a long cell is shortened, and whole in its tooltip."""
    css = [' class="wide"' if column in wide else "" for column in columns]
    head = "".join(f"<th>{text(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}{_tooltip(cell)}>{text(cell, 220)}</td>"
            for kind, cell in zip(css, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table class="text"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _tooltip(cell: Any) -> str:
    return f' title="{text(cell, 2000)}"' if len(str(cell)) > 220 else ""


def mix_bars(counts: Mapping[str, int], css: str) -> str:
    """Shares of a whole as bars, largest first; what is small is summed up."""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[12:])
    shown = ordered[:12] + ([("others", rest)] if rest else [])
    largest = max((count for _, count in shown), default=1)
    bars = "".join(
        f'<span>{text(name)}</span><i style="width:{100 * count / largest:.1f}%"></i>'
        f"<span>{count} ({100 * count / total:.0f} %)</span>"
        for name, count in shown
    )
    return f'<div class="mix {css}">{bars}</div>'


def choices(name: str, label: str, values: Iterable[str]) -> str:
    options = "".join(f'<option value="{text(v)}">{text(v)}</option>' for v in values)
    select = f'<select name="{name}"><option value="">all</option>{options}</select>'
    return f"<label>{text(label)} {select}</label>"
