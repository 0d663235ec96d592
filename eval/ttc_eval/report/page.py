"""HTML in small pieces, from the templates: each escapes what it is given, unless it is Markup.

Only a part that a template has filled in, and a chart, are Markup.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ttc_eval.compare.summary import ARM_ORDER
from ttc_eval.report.tables import Table
from ttc_eval.report.templates import part, template

HUES = (5, 285, 145, 40, 190, 325, 90, 250)
"""Of arms that have no colour of their own, in the order in which they appear."""
Section = tuple[str, str, Markup]
"""Its address on the page, its title, and what is in it."""


def page(
    title: str, heading: str, lead: str, sections: Sequence[Section], sentences: Sequence[str] = ()
) -> str:
    """Return a whole page: the lead is the news, and sentences stand under it."""
    colours = _colours("".join(inside for *_, inside in sections))
    return template("page.html.jinja").render(
        title=title,
        heading=heading,
        lead=lead,
        sentences=sentences,
        sections=sections,
        colours=colours,
    )


def css_class(arm: str) -> str:
    """Return the class of an arm's colour, the same in every chart; experts have their arm's."""
    name = arm.partition("/")[0]
    return name if name in ARM_ORDER else "arm-" + re.sub(r"[^\w-]+", "-", name)


def _colours(body: str) -> str:
    """Return a rule for each arm in the page that the template does not know."""
    arms = dict.fromkeys(re.findall(r'class="(?:[^"]* )?(arm-[\w-]+)', body))
    return "\n".join(
        f".{arm} {{ color: light-dark(hsl({hue} 55% 42%), hsl({hue} 65% 70%)); }}"
        for arm, hue in zip(arms, itertools.cycle(HUES), strict=False)
    )


def paragraph(sentence: str, css: str = "") -> Markup:
    return part("paragraph", sentence=sentence, css=css)


def subsection(title: str, note: str, inside: Markup) -> Markup:
    return part("subsection", title=title, note=note, inside=inside)


def figure(svg: Markup, caption: str) -> Markup:
    return part("figure", svg=svg, caption=caption)


def legend(arms: Iterable[str]) -> Markup:
    return part("legend", arms=[(arm, css_class(arm)) for arm in arms])


def pair(inside: Markup, css: str = "pair") -> Markup:
    """Return parts beside each other, where the window is wide enough."""
    return part("pair", inside=inside, css=css)


def details(summary: str, inside: Markup) -> Markup:
    return part("details", summary=summary, inside=inside)


def preformatted(text: str) -> Markup:
    return part("preformatted", text=text)


def number_table(table: Table) -> Markup:
    """Return a table of estimates; the interval is set back behind its value."""
    return part("number_table", table=table)


def text_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], wide: Sequence[str]
) -> Markup:
    """Return a table of words; a long cell is shortened, and whole in its tooltip."""
    return part("text_table", columns=columns, rows=rows, wide=wide)


def mix_bars(counts: Mapping[str, int], css: str) -> Markup:
    """Return shares of a whole as bars, largest first; what is small is summed up."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[12:])
    largest = ordered[:12] + ([("others", rest)] if rest else [])
    return part("mix_bars", counts=largest, total=sum(counts.values()), css=css)
