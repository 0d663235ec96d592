"""Write the table of docs/data.md: what becomes of each published format without configuration.

    python docs/formats_table.py

The table stands between two marks; all else on the page is left alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from formats import NAMES, Outcome, outcome  # noqa: E402

PAGE = HERE / "data.md"
MARKS = "<!-- formats -->\n", "<!-- end of formats -->\n"


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
    return f"| `{name}` | {loads} | {len(seen.tasks)} | {kinds} | {golds} | {options} |"


def page() -> str:
    """Return docs/data.md with the table made anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}{table()}{MARKS[1]}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
