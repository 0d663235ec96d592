"""Maths verdicts: how fast, and how often right, beside math-verify as it comes and TRL's reward.

    python tests/benchmarks/maths.py            verdicts a second; medians of interleaved repeats
    python tests/benchmarks/maths.py --table    wrong verdicts on tests/golden/maths.jsonl
    python tests/benchmarks/maths.py --golds DATA    every gold of every source, as Markdown

Figures are of one run on one machine: read the ratios.
"""

# ruff: noqa: T201
from __future__ import annotations

import contextlib
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ttc_rl import Task, load_tasks, verify_many
from ttc_rl.verifiers import golds

ROOT = Path(__file__).parents[2]
REPEATS = 5
Grader = Callable[[Sequence[str], Sequence[str], Sequence[dict[str, Any]]], list[bool | None]]


def ours(
    gold: Sequence[str], completions: Sequence[str], meta: Sequence[dict]
) -> list[bool | None]:
    tasks = [Task("math", "?", g, meta=m) for g, m in zip(gold, meta, strict=True)]
    return [verdict.correct for verdict in verify_many(tasks, completions)]


def trl_reward(gold: Sequence[str], completions: Sequence[str], meta: Any) -> list[bool | None]:
    from trl.rewards import accuracy_reward

    found: list[bool | None] = []
    for g, text in zip(gold, completions, strict=True):
        (reward,) = accuracy_reward([[{"content": text}]], [f"${g}$"])
        found.append(None if reward is None else reward == 1.0)
    return found


def math_verify_default(gold: Sequence[str], completions: Sequence[str], meta: Any) -> list:
    from math_verify import parse, verify

    return [verify(parse(f"${g}$"), parse(t)) for g, t in zip(gold, completions, strict=True)]


GRADERS: dict[str, Grader] = {
    "ttc-rl": ours,
    "TRL accuracy_reward": trl_reward,
    "math-verify, default": math_verify_default,
}

# --------------------------------------------------------------------------- speed


def speed() -> None:
    integers = [(str(7 * i % 1000), str((7 * i + (i % 3 == 0)) % 1000)) for i in range(300)]
    roots = [(rf"\frac{{\sqrt{{{i}}}}}{{2}}", rf"\sqrt{{{i}}}/2") for i in range(2, 202)]
    for name, pairs in (("AIME-type answers", integers), ("roots and fractions", roots)):
        gold = [g for g, _ in pairs]
        texts = [rf"Adding both sides we find that it is $\boxed{{{a}}}$." for _, a in pairs]
        rates = measured(gold, texts)
        print(f"{name}: {len(pairs)} verdicts, median of {REPEATS} interleaved repeats")
        for grader, rate in rates.items():
            print(f"  {grader:22} {rate:10,.0f} a second   x {rates['ttc-rl'] / rate:.1f}")


def measured(gold: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """Verdicts a second. Caches of ours are emptied before each repeat, workers stay."""
    from ttc_rl.verifiers import maths, rationals

    seconds: dict[str, list[float]] = {name: [] for name in GRADERS}
    for repeat in range(REPEATS + 1):
        for name, grade in GRADERS.items():
            maths._decide.cache_clear()
            rationals.value.cache_clear()
            started = time.perf_counter()
            grade(gold, texts, [{}] * len(gold))
            if repeat:  # the first only warms up
                seconds[name].append(time.perf_counter() - started)
    return {name: len(gold) / statistics.median(found) for name, found in seconds.items()}


# --------------------------------------------------------------------------- right or wrong


def table() -> None:
    lines = (ROOT / "tests/golden/maths.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    texts = [row.get("completion") or rf"\boxed{{{row.get('answer')}}}" for row in rows]
    meta = [row.get("meta", {}) for row in rows]
    exact = [i for i, m in enumerate(meta) if not m]
    print(
        f"| grader | wrong of {len(rows)} | right called wrong | wrong called right | undecided |"
    )
    print("|---|---|---|---|---|")
    for name, grade in GRADERS.items():
        found = grade([row["gold"] for row in rows], texts, meta)
        wrong = [i for i, row in enumerate(rows) if found[i] is not row["correct"]]
        kinds = [
            sum(rows[i]["correct"] is True and found[i] is False for i in wrong),
            sum(rows[i]["correct"] is False and found[i] is True for i in wrong),
            sum(found[i] is None for i in wrong),
        ]
        share = f"{len(wrong)} ({len(wrong) / len(rows):.1%})"
        print(f"| {name} | {share} | {' | '.join(map(str, kinds))} |")
        if name == "ttc-rl":
            ours_wrong = [rows[i] for i in wrong]
        plain = sum(i in set(exact) for i in wrong)
        print(f"  without tolerances: {plain} of {len(exact)}", file=sys.stderr)
    for row in ours_wrong:
        print(f"- `{row['gold']}`, answer `{row.get('answer')}`: {row['limit']}")


def all_golds(data: Path) -> None:
    paths = sorted([*data.glob("corpus/*"), *data.glob("benchmarks/*")])
    checked = [found for path in paths for found in golds.check_golds(load_tasks(str(path)))]
    print(golds.markdown(checked))
    for line in (line for found in checked for line in found.failures):
        print(f"- {line}")


def main() -> None:
    for name in ("math_verify", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if "--table" in sys.argv:
        table()
    elif "--golds" in sys.argv:
        all_golds(Path(sys.argv[-1]))
    else:
        with contextlib.redirect_stderr(None):
            speed()


if __name__ == "__main__":
    main()
