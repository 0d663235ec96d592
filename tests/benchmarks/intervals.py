# ruff: noqa: T201
"""How often a 95 % interval holds the truth, ours and others', on the same simulated samples.

    python tests/benchmarks/intervals.py [--trials 2000] [--tasks 30]

The truth is what NEW TASKS AND NEW SAMPLES give. Each trial draws tasks from a distribution of
chances to be right, and 16 samples of each. A wrong sample gives one of six wrong answers, in half
of the tasks mostly the same one. Prints Markdown: coverage in percent, and mean width in points.

lighteval and lm-eval are called where they are installed (lighteval 0.13 pins another
latex2sympy2_extended than math-verify 0.9 needs, so it wants an environment of its own). Both
give a standard error over tasks; the interval is value +- 1.96 of it.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import math
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from ttc_rl.metrics import maj_at_k, mean_interval, paired_difference, pass_at_k, t_quantile

SAMPLES, K, WRONG = 16, 8, 6
RESAMPLES, RESAMPLED = 400, 500
"""Of the bootstraps: resamples, and trials they are tried on."""
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
Limits = tuple[np.ndarray, np.ndarray]


def beta(a: float, b: float) -> Draw:
    return lambda rng, shape: rng.beta(a, b, shape)


def two(share: float, low: float, high: float) -> Draw:
    return lambda rng, shape: np.where(rng.random(shape) < share, high, low)


DIFFICULTIES: dict[str, Draw] = {
    "uniform": beta(1, 1),
    "easy, Beta(5, 2)": beta(5, 2),
    "hard, Beta(0.4, 0.8)": beta(0.4, 0.8),
    "U-shaped, Beta(0.2, 0.2)": beta(0.2, 0.2),
    "bimodal, 30 % at 0.95, rest 0.02": two(0.3, 0.02, 0.95),
    "low, Beta(0.3, 6)": beta(0.3, 6),
    "low, 15 % at 0.4, rest 0.01": two(0.15, 0.01, 0.4),
    "low, 10 % at 0.5, rest 0": two(0.1, 0.0, 0.5),
    "all tasks alike, 0.3": two(0.0, 0.3, 0.3),
    "near the ceiling, Beta(6, 0.3)": beta(6, 0.3),
}
CHANGES: dict[str, tuple[Draw, Callable[[np.random.Generator, np.ndarray], np.ndarray]]] = {
    "no change, hard": (beta(0.4, 0.8), lambda rng, p: p),
    "all a little": (beta(1, 1), lambda rng, p: np.clip(p + rng.normal(0.05, 0.15, p.shape), 0, 1)),
    "low, doubled": (beta(0.3, 6), lambda rng, p: np.minimum(1, 2 * p)),
    "a tenth of the tasks by 0.6": (
        beta(0.4, 0.8),
        lambda rng, p: np.where(rng.random(p.shape) < 0.1, np.minimum(1, p + 0.6), p),
    ),
    "a twentieth solved for good": (
        two(0.3, 0.02, 0.95),
        lambda rng, p: np.where(rng.random(p.shape) < 0.05, 0.95, p),
    ),
}


def answers(rng: np.random.Generator, chance_TN: np.ndarray, samples: int) -> np.ndarray:
    """Counts of each answer, the right one first; shape (T, N, 7)."""
    shape = chance_TN.shape
    popular = np.where(rng.random(shape) < 0.5, 0.7, 1 / WRONG)[..., None]
    wrong = np.broadcast_to((1 - popular) / (WRONG - 1), (*shape, WRONG)).copy()
    wrong[..., :1] = popular
    chances = np.concatenate([chance_TN[..., None], (1 - chance_TN[..., None]) * wrong], axis=-1)
    return rng.multinomial(samples, chances / chances.sum(axis=-1, keepdims=True))


def voted(counts: np.ndarray) -> np.ndarray:
    """Whether the vote is right, ties split."""
    top = counts == counts.max(axis=-1, keepdims=True)
    return top[..., 0] / top.sum(axis=-1)


@functools.cache
def majority(right: int, wrong: tuple[int, ...]) -> float:
    sizes = [right, *wrong] if right else list(wrong)
    return maj_at_k(sizes, [i == 0 and right > 0 for i in range(len(sizes))], 0, K)


def each(function: Callable[..., Any], *columns: np.ndarray) -> np.ndarray:
    """A function of one task over (T, N, ...) arrays."""
    flat = zip(*(c.reshape(-1, *c.shape[2:]) for c in columns), strict=True)
    return np.array([function(*one) for one in flat], dtype=float).reshape(columns[0].shape[:2])


def our_values(counts: np.ndarray) -> dict[str, np.ndarray]:
    right = counts[..., 0]
    table = np.array([pass_at_k(SAMPLES, c, K) for c in range(SAMPLES + 1)])

    def vote(one: np.ndarray) -> float:
        return majority(int(one[0]), tuple(sorted(int(c) for c in one[1:] if c)))

    return {
        f"avg@{SAMPLES}": right / SAMPLES,
        f"pass@{K}": table[right],
        f"maj@{K}": each(vote, counts),
    }


# --------------------------------------------------------------------------- others


def in_a_row(rng: np.random.Generator, counts: np.ndarray) -> np.ndarray:
    """The samples one after the other, (T, N, 16), the right answer being 0."""
    listed = np.repeat(np.tile(np.arange(WRONG + 1), counts[..., 0].size), counts.ravel())
    return rng.permuted(listed.reshape(*counts.shape[:2], SAMPLES), axis=2)


def lighteval_values(rows: np.ndarray) -> tuple[dict[str, np.ndarray], Callable[..., float]]:
    metrics = importlib.import_module("lighteval.metrics.metrics_sample")
    stderr = importlib.import_module("lighteval.metrics.utils.stderr").get_stderr_function(np.mean)
    doc = importlib.import_module("lighteval.tasks.requests").Doc
    response = importlib.import_module("lighteval.models.model_output").ModelResponse
    passing = metrics.PassAtK(k=K, n=SAMPLES)
    voting = metrics.MajAtN(n=K, sample_scoring_function=lambda d, r: r.text[0] == d.choices[0])

    def vote(row: np.ndarray) -> float:
        return voting.compute(
            doc(query="", choices=["0"], gold_index=0),
            response(text=[str(answer) for answer in row]),
        )

    return {
        f"avg@{SAMPLES}": each(lambda row: np.mean(row == 0), rows),
        f"pass@{K}": each(lambda row: passing.pass_at_k([int(a == 0) for a in row]), rows),
        f"maj@{K}": each(vote, rows),
    }, stderr


def lm_eval_values(rows: np.ndarray) -> tuple[dict[str, np.ndarray], Callable[..., float]]:
    """Its filters `take_first_k` and `majority_vote`; pass@k it has for single tasks only."""
    metrics = importlib.import_module("lm_eval.api.metrics")
    filters = importlib.import_module("lm_eval.filters.selection")
    flat = [[str(answer) for answer in row] for row in rows.reshape(-1, SAMPLES)]
    kept = filters.TakeKFilter(k=K).apply(flat, None)
    found = [vote[0] == "0" for vote in filters.MajorityVoteFilter().apply(kept, None)]
    return {
        f"avg@{SAMPLES}": (rows == 0).mean(axis=2),
        f"maj@{K}": np.array(found, dtype=float).reshape(rows.shape[:2]),
    }, metrics.stderr_for_metric(metrics.mean, bootstrap_iters=1000)


OTHERS = {"lighteval": lighteval_values, "lm_eval": lm_eval_values}


def by_stderr(values: np.ndarray, stderr: Callable[..., float]) -> Limits:
    half = 1.96 * np.array([stderr(row.tolist()) for row in values])
    return values.mean(axis=1) - half, values.mean(axis=1) + half


# --------------------------------------------------------------------------- alternatives


def over_tasks(values: np.ndarray) -> Limits:
    found = [mean_interval(row) for row in values]
    return np.array([e.lo for e in found]), np.array([e.hi for e in found])


def student(values: np.ndarray) -> Limits:
    tasks = values.shape[1]
    half = t_quantile(0.975, tasks - 1) * values.std(axis=1, ddof=1) / math.sqrt(tasks)
    return values.mean(axis=1) - half, values.mean(axis=1) + half


def percentile(rng: np.random.Generator, values: np.ndarray) -> Limits:
    tasks = values.shape[1]
    weights = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=RESAMPLES) / tasks
    lo, hi = np.quantile(values[:RESAMPLED] @ weights.T, [0.025, 0.975], axis=1)
    return lo, hi


def two_level(rng: np.random.Generator, counts: np.ndarray, metric: str) -> Limits:
    """Tasks, then samples of each, both with replacement: what a bootstrap of both would do."""
    table = np.array([pass_at_k(SAMPLES, c, K) for c in range(SAMPLES + 1)])
    limits = []
    for trial in counts[:RESAMPLED]:
        drawn = trial[rng.integers(0, len(trial), (RESAMPLES, len(trial)))]
        if metric.startswith("maj"):
            value = voted(rng.multinomial(K, drawn / SAMPLES))
        else:
            right = rng.binomial(SAMPLES, drawn[..., 0] / SAMPLES)
            value = table[right] if metric.startswith("pass") else right / SAMPLES
        limits.append(np.quantile(value.mean(axis=1), [0.025, 0.975]))
    lo, hi = np.array(limits).T
    return lo, hi


# --------------------------------------------------------------------------- the tables


def told(limits: Limits, truth: float) -> str:
    lo, hi = limits
    width = 100 * float(np.mean(np.minimum(hi, 1) - np.maximum(lo, -1)))
    return f"{100 * np.mean((lo <= truth) & (truth <= hi)):.1f} ({width:.1f})"


def single(trials: int, tasks: int, tools: Mapping[str, Any]) -> list[list[str]]:
    lines = []
    for name, draw in DIFFICULTIES.items():
        rng = np.random.default_rng(0)
        many = draw(rng, (1, 400_000))
        truths = {
            f"avg@{SAMPLES}": float(many.mean()),
            f"pass@{K}": float((1 - (1 - many) ** K).mean()),
            f"maj@{K}": float(voted(answers(rng, many, K)).mean()),
        }
        counts = answers(rng, draw(rng, (trials, tasks)), SAMPLES)
        rows = in_a_row(rng, counts)
        theirs = {tool: values(rows) for tool, values in tools.items()}
        for metric, values in our_values(counts).items():
            truth = truths[metric]
            cells = [
                told(limits, truth)
                for limits in (
                    over_tasks(values),
                    student(values),
                    percentile(rng, values),
                    two_level(rng, counts, metric),
                )
            ]
            for found, stderr in theirs.values():
                has = metric in found
                cells.append(told(by_stderr(found[metric], stderr), truth) if has else "-")
            lines.append([name, metric, f"{100 * truth:.1f}", *cells])
    return lines


def paired(trials: int, tasks: int, tools: Mapping[str, Any]) -> list[list[str]]:
    """lighteval and lm-eval have no difference: what their two standard errors allow, unpaired."""
    lines = []
    for name, (draw, change) in CHANGES.items():
        rng = np.random.default_rng(0)
        many = draw(rng, (1, 400_000))
        truth = float((change(rng, many) - many).mean())
        before = draw(rng, (trials, tasks))
        counts = [answers(rng, p, SAMPLES) for p in (before, change(rng, before))]
        a, b = (c[..., 0] / SAMPLES for c in counts)
        found = [paired_difference(y, x) for x, y in zip(a, b, strict=True)]
        ours = np.array([d.lo for d in found]), np.array([d.hi for d in found])
        cells = [
            told(ours, truth),
            told(student(b - a), truth),
            told(percentile(rng, b - a), truth),
        ]
        for values in tools.values():
            (x, stderr), (y, _) = (values(in_a_row(rng, c)) for c in counts)
            parts = [by_stderr(v[f"avg@{SAMPLES}"], stderr) for v in (x, y)]
            half = np.hypot(*((hi - lo) / 2 for lo, hi in parts))
            middle = (b - a).mean(axis=1)
            cells.append(told((middle - half, middle + half), truth))
        lines.append([name, f"{100 * truth:.1f}", *cells])
    return lines


def table(columns: list[str], lines: list[list[str]]) -> None:
    for line in [columns, ["---"] * len(columns), *lines]:
        print("| " + " | ".join(line) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--tasks", type=int, default=30)
    asked = parser.parse_args()
    tools = {name: values for name, values in OTHERS.items() if find_spec(name)}
    named = [f"{name} {version(name)}" for name in tools]
    print(f"{asked.trials} trials of {asked.tasks} tasks x {SAMPLES} samples: coverage (width)\n")
    head = ["tasks", "metric", "truth", "ours", "t over tasks", "bootstrap tasks", "two-level"]
    table([*head, *named], single(asked.trials, asked.tasks, tools))
    head = ["change in avg@16", "truth", "ours", "t over tasks", "bootstrap tasks"]
    unpaired = [f"{name}, unpaired" for name in named]
    table([*head, *unpaired], paired(asked.trials, asked.tasks, tools))


if __name__ == "__main__":
    main()
