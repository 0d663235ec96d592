"""HTML in small pieces, from the templates: each escapes what it is given, unless it is Markup.

Only a part that a template has filled in, and a chart, are Markup.
"""

from __future__ import annotations

import colorsys
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    title: str,
    heading: str,
    lead: str,
    sections: Sequence[Section],
    sentences: Sequence[str] = (),
    links: Sequence[tuple[str, str]] = (),
) -> str:
    """Return a whole page: the lead is the news, sentences stand under it, and `links` lead to
    other pages, (address, text)."""
    colours = _colours("".join(inside for *_, inside in sections))
    return template("page.html.jinja").render(
        title=title,
        heading=heading,
        lead=lead,
        sentences=sentences,
        links=links,
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
        f".{arm} {{ color: light-dark({_hex(hue, 0.42, 0.55)}, {_hex(hue, 0.7, 0.65)}); }}"
        for arm, hue in zip(arms, itertools.cycle(HUES), strict=False)
    )


def _hex(hue: int, lightness: float, saturation: float) -> str:
    red, green, blue = colorsys.hls_to_rgb(hue / 360, lightness, saturation)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def paragraph(sentence: str, css: str = "") -> Markup:
    return part("paragraph", sentence=sentence, css=css)


def subsection(title: str, note: str, inside: Markup) -> Markup:
    return part("subsection", title=title, note=note, inside=inside)


def figure(svg: Markup, caption: str, legend: Markup | None = None) -> Markup:
    """Return a chart under its legend; a chart that is too wide for the window scrolls."""
    return part("figure", svg=svg, caption=caption, legend=legend or Markup())


def legend(arms: Iterable[str], shown_name: Callable[[str], str] = str) -> Markup:
    """Return the colours of the arms; `shown_name` says what a reader calls one."""
    return part("legend", arms=[(shown_name(arm), css_class(arm)) for arm in arms])


def pair(inside: Markup, css: str = "pair") -> Markup:
    """Return parts beside each other, where the window is wide enough."""
    return part("pair", inside=inside, css=css)


def links(links: Iterable[tuple[str, str]]) -> Markup:
    """Return links to other pages, (address, text)."""
    shown = list(links)
    return part("links", links=shown) if shown else Markup()


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
