"""Write two parts of docs/data.md: what becomes of each published format, and a row of each.

    python docs/formats_table.py

Each part stands between two marks; all else on the page is left alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from formats import FOLDER, NAMES, Outcome, outcome  # noqa: E402

PAGE = HERE / "data.md"
WIDTH = 96
"""Characters of a line of a row; what is longer is cut, which the page says."""


def table() -> str:
    """Return a line a format: loads, prompt as rendered, golds, options."""
    lines = [
        "| file | loads | tasks | kinds | golds accept themselves | options shown |",
        "|:--|:--|--:|:--|:--|:--|",
        *(_line(name, outcome(name)) for name in NAMES),
    ]
    return "\n".join(lines) + "\n"


def _line(name: str, seen: Outcome) -> str:
    kinds = ", ".join(dict.fromkeys(task.kind for task in seen.tasks))
    golds = {"all": "yes", "tests": "has tests", "judge": "a judge's"}.get(seen.golds, seen.golds)
    options = {True: "yes", None: "-", False: "NO"}[seen.options]
    loads = "yes" if seen.loads else "NO"
    return f"| [`{name}`](#{name}) | {loads} | {len(seen.tasks)} | {kinds} | {golds} | {options} |"


def rows() -> str:
    """Return the first row of each file, a column a line."""
    return "\n".join(f"### {name}\n\n```text\n{_row(name)}\n```\n" for name in NAMES)


def _row(name: str) -> str:
    text = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").partition("\n")[0]
    return "\n".join(_column(key, value) for key, value in json.loads(text).items())


def _column(key: str, value: Any) -> str:
    line = f"{key}: {json.dumps(value, ensure_ascii=False)}"
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 2]} \N{HORIZONTAL ELLIPSIS}"


def page() -> str:
    """Return docs/data.md with both parts made anew."""
    text = PAGE.read_text(encoding="utf-8")
    for mark, part in (("formats", table()), ("rows", rows())):
        begin, end = f"<!-- {mark} -->\n\n", f"\n<!-- end of {mark} -->\n"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}{part}{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
