"""figures/: every chart of a page as a file of its own, for papers: SVG and PDF, vectors and text.

A figure is cut out of the page with its legend and the page's own rules, in the light colours. So
the page is the only place that says what a chart looks like. PDFs are made by svglib, in the font
Vera that reportlab brings and that is embedded; a letter that Vera lacks is a box there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

from ttc_rl.run_dir import write_bytes, write_text
from ttc_rl.schema import UserError
from ttc_rl.system.install import install

SVG = "http://www.w3.org/2000/svg"
FONT = "Vera"
LEGEND, LETTER = 26, 7.2
"""Height of a legend's line, and about how wide a letter is in it."""
_FIGURE = re.compile(r"<figure>.*?</figure>", re.DOTALL)
_SECTION = re.compile(r'<section id="([^"]*)">')


@dataclass(frozen=True)
class Figure:
    """A chart that stands alone: the name of its files, and its SVG."""

    name: str
    svg: str


def write_figures(page: Path, folder: Path) -> list[Path]:
    """Write the charts of a page as SVG and PDF; return the paths.

    Raises UserError where svglib is not installed, before anything is written.
    """
    pdf_of = _converter()
    paths = list[Path]()
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures(page.read_text(encoding="utf-8")):
        paths += [folder / f"{figure.name}.svg", folder / f"{figure.name}.pdf"]
        write_text(paths[-2], figure.svg)
        write_bytes(paths[-1], pdf_of(figure.svg))
    return paths


# --------------------------------------------------------------------------- out of the page


def figures(html: str) -> Iterator[Figure]:
    """Yield the charts of a page, named after their section and title: `results-pass-k-by-k`."""
    style = _style(html)
    taken = set[str]()
    section = ""
    for match in re.finditer(f"{_SECTION.pattern}|{_FIGURE.pattern}", html, re.DOTALL):
        if match[1] is not None:
            section = match[1]
            continue
        whole = ElementTree.fromstring(match[0])
        drawing = whole.find(".//svg")
        if drawing is None:
            continue
        title = f"{section} {drawing.get('aria-label')}"
        name = base = re.sub(r"[^\w.+-]+", "-", title).strip("-").lower()
        number = 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        yield Figure(name, _alone(drawing, _legend(whole), style))


def _legend(figure: ElementTree.Element) -> list[tuple[str, str]]:
    """Return the names and classes of a figure's colours: of its legend, else of its series."""
    spans = figure.findall(".//div[@class='legend']/span")
    if spans:
        return [("".join(span.itertext()).strip(), span.get("class", "")) for span in spans]
    series = [
        (group.get("data-name", ""), group.get("class", ""))
        for group in figure.iterfind(".//g[@data-name]")
    ]
    return list(dict.fromkeys(series)) if len(series) > 1 else []


def _alone(drawing: ElementTree.Element, legend: list[tuple[str, str]], style: str) -> str:
    """Return the SVG of a chart, with its legend above it and its rules inside."""
    _, _, width, height = map(float, drawing.get("viewBox", "").split())
    lines = _lines(legend, width)
    top = LEGEND * (1 + max((line for *_, line in lines), default=-1))
    box = f"0 {-top} {width:g} {height + top:g}"
    drawing.attrib = {
        "xmlns": SVG,
        "viewBox": box,
        "width": f"{width:g}",
        "height": f"{height + top:g}",
        "role": "img",
        "aria-label": drawing.get("aria-label", ""),
    }
    for element in list(drawing.iter()):
        if element.tag == "a":  # to a page of the run, which is not beside the figure
            element.tag, element.attrib = "g", {}
        for title in element.findall("title"):  # shown on hover; svglib would print some
            element.remove(title)
    for number, (name, css, x, line) in enumerate(lines):
        y = -top + LEGEND * line + 12
        entry = ElementTree.Element("g", {"class": css})
        at = {"cx": f"{x + 6:g}", "cy": f"{y:g}", "r": "4.5"}
        ElementTree.SubElement(entry, "circle", at)
        label = {"class": "name", "x": f"{x + 16:g}", "y": f"{y + 4.5:g}"}
        ElementTree.SubElement(entry, "text", label).text = name
        drawing.insert(number, entry)
    rules = ElementTree.Element("style")
    rules.text = style
    drawing.insert(0, rules)
    return ElementTree.tostring(drawing, encoding="unicode") + "\n"


def _lines(legend: list[tuple[str, str]], width: float) -> list[tuple[str, str, float, int]]:
    """Return (name, class, x, line) of each entry, in as many lines as they need."""
    placed = list[tuple[str, str, float, int]]()
    x, line = 0.0, 0
    for name, css in legend:
        wide = 36 + LETTER * len(name)
        if x and x + wide > width:
            x, line = 0.0, line + 1
        placed.append((name, css, x, line))
        x += wide
    return placed


def _style(html: str) -> str:
    """Return the page's rules for charts and colours of arms, with the light colours put in."""
    css = html.partition("<style>")[2].partition("</style>")[0]
    light = dict(re.findall(r"--([\w-]+): (#\w+)", css.partition("@media")[0]))
    css = re.sub(r"var\(--([\w-]+)\)", lambda match: light[match[1]], css)
    css = re.sub(r"light-dark\((#\w+), #\w+\)", r"\1", css)
    rules = re.findall(r"(?:^|(?<=\}))\s*((?:svg |\.)[^{}@]*\{[^{}]*\})", css, re.MULTILINE)
    charts = [rule for rule in rules if re.match(r"svg [.tc]|\.(soft,|[\w-]+ \{ color: #)", rule)]
    return f"svg text {{ font-family: {FONT}, Verdana, sans-serif; }}\n" + "\n".join(charts)


# --------------------------------------------------------------------------- PDF


def _converter() -> Callable[[str], bytes]:
    """Return the function from an SVG to the bytes of a PDF."""
    try:
        import reportlab
        from reportlab.graphics import renderPDF
        from svglib.fonts import register_font
        from svglib.svglib import svg2rlg
    except ImportError:
        raise UserError(f"--figures: PDFs need svglib: {install('figures')}") from None
    register_font(FONT, os.path.join(os.path.dirname(reportlab.__file__), "fonts", "Vera.ttf"))

    def pdf_of(svg: str) -> bytes:
        drawing, written = svg2rlg(BytesIO(svg.encode())), BytesIO()
        assert drawing is not None  # it is what svglib returns for a file that is no SVG
        renderPDF.drawToFile(drawing, written)
        return written.getvalue()

    return pdf_of
