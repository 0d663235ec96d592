"""Draw the README's picture: what each arm of a run scored on its target, with its interval.

    python docs/quickstart_chart.py runs/quickstart > docs/quickstart.svg

The colours are those of report.html, for light and dark pages.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ttc_eval.records import read_summary
from ttc_eval.report import charts, page
from ttc_rl.run_dir import RunDir

STYLE = """
svg { font-family: system-ui, sans-serif; color-scheme: light dark }
text { fill: #6b6e76; font-size: 12px }
.name, .value { fill: #1c1d21; font-size: 13.5px }
.grid { stroke: #d8dade; fill: none }
.bar { stroke: currentColor; stroke-width: 4; opacity: .3; stroke-linecap: round; fill: none }
circle { fill: currentColor }
.base { color: #7d8088 } .random { color: #b97a14 } .sift { color: #1f5fc4 }
@media (prefers-color-scheme: dark) {
  text { fill: #a4a7af } .name, .value { fill: #ececf0 } .grid { stroke: #3a3c42 }
  .base { color: #9a9da5 } .random { color: #e0a94a } .sift { color: #76a9ff }
}
"""
NAMES = {"base": "before training", "random": "random tasks", "sift": "chosen by SIFT"}


def chart(run: Path) -> str:
    summary = read_summary(RunDir(run).summary)
    part = summary.benchmarks[summary.target]
    rows = [
        (NAMES.get(arm, arm), page.css_class(arm), scores.metrics[part.avg_name])
        for arm, scores in part.models.items()
    ]
    label = f"{part.avg_name} on the held-out test, %, with 95 % intervals"
    drawn = charts.interval_chart(rows, title=label, x_label=label, width=640)
    head, _, body = drawn.partition(">")
    size = 'xmlns="http://www.w3.org/2000/svg" width="640"'
    return f"{head} {size}><style>{STYLE}</style>{body}\n"


if __name__ == "__main__":
    sys.stdout.write(chart(Path(sys.argv[1])))
