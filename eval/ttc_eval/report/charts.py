"""Small inline SVG charts: Markup, no library, no network. Colours come from the page's classes.

A series is drawn in `currentColor` of its class, so that light and dark schemes are the page's
matter. Every mark carries a <title>, which browsers show on hover.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ttc_rl.metrics import Estimate

FULL, HALF = 920, 445
"""Widths: of the page, and of two charts beside each other. One unit is about one pixel."""
HEIGHT = 260
"""Of a chart of lines."""
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 42
Point = tuple[float, float]
Ticks = Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Series:
    name: str
    css: str
    line: Sequence[Point]
    dots: Sequence[Point] = ()
    """Drawn faintly, e.g. the values that a line smooths."""
    dashed: bool = False
    band: Sequence[tuple[float, float, float]] = ()
    """(x, lo, hi), drawn as one pale area behind the line."""


@dataclass(frozen=True)
class Frame:
    """From data to the picture: x to the right, y upwards."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int

    def at(self, x: float, y: float) -> Point:
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        bottom = self.height - BOTTOM
        return LEFT + across * (self.width - LEFT - RIGHT), bottom - up * (bottom - TOP)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round numbers in [low, high]."""
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / count))
    step *= next(m for m in (1, 2, 5, 10) if span / (step * m) <= count)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def percent_tick(value: float) -> str:
    return f"{100 * value:.0f}"


def plain_tick(value: float) -> str:
    return f"{value:,.6g}"


# --------------------------------------------------------------------------- charts


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    y_tick: Callable[[float], str] = plain_tick,
    x_ticks: Ticks | None = None,
    width: int = FULL,
    height: int = HEIGHT,
) -> Markup:
    """Return a chart of lines over faint dots, with a band where there are intervals."""
    xs = [x for s in series for x, _ in (*s.line, *s.dots)]
    ys = [y for s in series for _, y in (*s.line, *s.dots)]
    ys += [end for s in series for _, *ends in s.band for end in ends]
    low, high = min([*ys, 0.0]), max(ys)
    margin = 0.05 * ((high - low) or abs(high) or 1.0)
    frame = Frame((min(xs), max(xs)), (low - (low != 0) * margin, high + margin), width, height)
    marks = x_ticks or [(x, plain_tick(x)) for x in ticks(*frame.x) if x == int(x)]
    body = _axes(frame, marks, [(y, y_tick(y)) for y in ticks(*frame.y)], x_label, y_label)
    return _svg(
        title, frame.width, height, body + "".join(_series(frame, s, y_tick) for s in series)
    )


def _series(frame: Frame, series: Series, y_tick: Callable[[float], str]) -> str:
    dots = "".join(
        f'<circle class="faint" cx="{x:.1f}" cy="{y:.1f}" r="2"/>'
        for x, y in (frame.at(*point) for point in series.dots)
    )
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (frame.at(*point) for point in series.line))
    dash = ' stroke-dasharray="5 4"' if series.dashed else ""
    line = f'<path class="line" d="M{path}"{dash}/>' if path else ""
    ends = "".join(
        f'<circle cx="{frame.at(x, y)[0]:.1f}" cy="{frame.at(x, y)[1]:.1f}" r="3.2">'
        f"<title>{escape(series.name)}: {y_tick(y)}</title></circle>"
        for x, y in (series.line if len(series.line) <= 12 and not series.dashed else ())
    )
    named = f'<g class="{series.css}" data-name="{escape(series.name)}">'
    return f"{named}{_band(frame, series)}{dots}{line}{ends}</g>"


def _band(frame: Frame, series: Series) -> str:
    if not series.band:
        return ""
    upper = [frame.at(x, hi) for x, _, hi in series.band]
    lower = [frame.at(x, lo) for x, lo, _ in reversed(series.band)]
    around = "L".join(f"{x:.1f} {y:.1f}" for x, y in [*upper, *lower])
    return f'<path class="band" d="M{around}Z"/>'


def interval_chart(
    rows: Sequence[tuple[str, str, Estimate]],
    *,
    title: str,
    x_label: str,
    width: int = HALF,
    height: int = 0,
) -> Markup:
    """Draw one row a model, (name, css, estimate): a dot with its interval.

    A name may have a second line. The rows spread over `height` where they need less.
    """
    two_lines = any("\n" in name for name, *_ in rows)
    pitch = max(44 if two_lines else 28, (height - TOP - BOTTOM) / len(rows))
    height = round(TOP + BOTTOM + pitch * len(rows))
    ends = [(e.value, e.lo, e.hi) for _, _, e in rows]
    values = [number for numbers in ends for number in numbers if number is not None]
    low, high = min([0.0, *values]), max([*values, 0.01])
    margin = 24 + max(_wide(name) for name, *_ in rows)

    def at(value: float) -> float:
        return margin + (value - low) / (high - low) * (width - margin - 56)

    body = "".join(
        f'<path class="grid" d="M{at(t):.1f} {TOP}V{height - BOTTOM}"/>'
        + _text("tick", at(t), height - BOTTOM + 16, percent_tick(t))
        for t in ticks(low, high)
    )
    for i, (name, css, estimate) in enumerate(rows):
        y, span, value = round(TOP + pitch * (i + 0.5)), "", estimate.value
        if estimate.lo is not None and estimate.hi is not None:
            span = f'<path class="bar" d="M{at(estimate.lo):.1f} {y}H{at(estimate.hi):.1f}"/>'
        first, _, second = name.partition("\n")
        body += _text("name", margin - 14, y + (-3 if second else 4), first, "end")
        if second:
            body += _text("tick", margin - 14, y + 12, _cut(second), "end", hint=second)
        body += f'<g class="{css}">{span}<circle cx="{at(value):.1f}" cy="{y}" r="5"/></g>'
        body += _text("value", width - 4, y + 4, f"{100 * value:.1f}", "end")
    return _svg(
        title, width, height, body + _text("label", at((low + high) / 2), height - 6, x_label)
    )


def _wide(name: str) -> float:
    """Return about how many units a name of one or two lines takes."""
    first, _, second = name.partition("\n")
    return max(8 * len(first), 6.8 * len(_cut(second)))


def _cut(text: str, limit: int = 26) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


@dataclass(frozen=True)
class Change:
    """A task, how often it is solved before and after, and the address of its page."""

    name: str
    before: float
    after: float
    address: str


def change_chart(
    changes: Sequence[Change], *, title: str, y_label: str, css: tuple[str, str]
) -> Markup:
    """Return a chart of before and after for each task, sorted by the change; each is a link."""
    ordered = sorted(changes, key=lambda change: (change.after - change.before, change.before))
    height = 260
    frame = Frame((-0.7, len(ordered) - 0.3), (-0.03, 1.03), FULL, height)
    body = _axes(
        frame,
        [],
        [(y, percent_tick(y)) for y in (0, 0.25, 0.5, 0.75, 1)],
        "tasks, by change",
        y_label,
    )
    radius = max(1.2, min(4.0, 260 / len(ordered)))
    for i, change in enumerate(ordered):
        before, after = change.before, change.after
        (x, start), (_, end) = frame.at(i, before), frame.at(i, after)
        way = "up" if after > before else "down" if after < before else "same"
        # The tab key passes over them: the page of all tasks is the way without a mouse.
        body += (
            f'<a href="{escape(change.address)}" tabindex="-1">'
            f'<path class="change {way}" d="M{x:.1f} {start:.1f}V{end:.1f}" '
            f'stroke-width="{radius:.1f}"/>'
            f'<g class="{css[0]}"><circle cx="{x:.1f}" cy="{start:.1f}" r="{radius:.1f}"/></g>'
            f'<g class="{css[1]}"><circle cx="{x:.1f}" cy="{end:.1f}" r="{radius:.1f}"/></g>'
            f"<title>{escape(change.name)}\n{100 * before:.0f} to {100 * after:.0f}</title></a>"
        )
    return _svg(title, FULL, height, body)


def heat_chart(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    title: str,
) -> Markup:
    """Return signed values as coloured squares: one colour up, another down, the number inside."""
    cell, margin = 74, 24 + 7 * max(map(len, rows))
    most = max((abs(v) for line in values for v in line if v is not None), default=0.0) or 1.0
    top = 30 + 7 * max(map(len, columns)) // 2
    width, height = max(FULL, margin + cell * len(columns) + 60), top + 34 * len(rows) + 10
    body = "".join(
        f'<g transform="translate({margin + cell * (j + 0.4):.0f} {top - 8}) rotate(-24)">'
        + _text("tick", 0, 0, name, "start")
        + "</g>"
        for j, name in enumerate(columns)
    )
    for i, (row, line) in enumerate(zip(rows, values, strict=True)):
        y = top + 34 * i
        body += _text("name", margin - 12, y + 21, row, "end")
        for j, value in enumerate(line):
            x, own = margin + cell * j, " own" if columns[j] == row else ""
            if value is None:
                body += _text("tick", x + cell / 2, y + 21, "-")
                continue
            way = "up" if value >= 0 else "down"
            hint = f"trained for {row}, evaluated on {columns[j]}: {100 * value:+.1f}"
            body += (
                f'<g><rect class="heat {way}{own}" x="{x + 2}" y="{y + 2}" width="{cell - 4}" '
                f'height="30" fill-opacity="{0.08 + 0.8 * abs(value) / most:.2f}"/>'
                + _text("value", x + cell / 2, y + 21, f"{100 * value:+.1f}")
                + f"<title>{escape(hint)}</title></g>"
            )
    return _svg(title, width, height, body)


# --------------------------------------------------------------------------- parts


def _axes(frame: Frame, xs: Ticks, ys: Ticks, x_label: str, y_label: str) -> str:
    floor = frame.height - BOTTOM
    body = ""
    for value, text in ys:
        y = frame.at(frame.x[0], value)[1]
        body += f'<path class="grid" d="M{LEFT} {y:.1f}H{frame.width - RIGHT}"/>'
        body += _text("tick", LEFT - 8, y + 4, text, "end")
    for value, text in xs:
        body += _text("tick", frame.at(value, frame.y[0])[0], floor + 16, text)
    turned = f'<g transform="translate(12 {(TOP + floor) / 2:.0f}) rotate(-90)">'
    body += f"{turned}{_text('label', 0, 0, y_label)}</g>"
    return body + _text("label", (LEFT + frame.width - RIGHT) / 2, frame.height - 6, x_label)


def _text(
    css: str, x: float, y: float, content: str, anchor: str = "middle", *, hint: str = ""
) -> str:
    at = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    title = f"<title>{escape(hint)}</title>" if hint else ""
    return f'<text class="{css}" {at}>{escape(content)}{title}</text>'


def _svg(title: str, width: int, height: int, body: str) -> Markup:
    wide = ' class="wide"' if width > HALF else ""
    box = f'viewBox="0 0 {width} {height}"'
    return Markup(f'<svg{wide} {box} role="img" aria-label="{escape(title)}">{body}</svg>')
