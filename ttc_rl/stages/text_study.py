"""Test-time training on text: selectors against each other by bits per byte, target by target.

The paper on SIFT (arXiv 2410.08020) in small: nearest neighbours repeat themselves where a store
holds near-duplicates, random passages are off the target, and SIFT's picks are neither.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttc_eval.compare import curve_points
from ttc_eval.report.tables import share
from ttc_rl.config.texts import TextStudy
from ttc_rl.corpus.passages import Passage, read_passages, with_echoes
from ttc_rl.metrics import Difference, Estimate, t_difference, t_interval
from ttc_rl.run_dir import append_jsonl, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.selection import greedy
from ttc_rl.stages.pace import Pace
from ttc_rl.stages.study_rows import rows_of_study

logger = logging.getLogger(__name__)

# N passages of the store, M targets, D embedding size.
Row = Mapping[str, Any]
BASE = "base"


@dataclass(frozen=True)
class Outcome:
    """What a study found. Bits per byte are shares of the base's on the same target."""

    targets: int
    """Over all seeds."""
    base: Estimate
    """Bits per byte before any step."""
    arms: Mapping[str, Mapping[int, Estimate]]
    """Arm -> picks trained on -> relative bits per byte."""
    differences: Mapping[str, Difference]
    """`arm - other` after all picks."""
    repeats: Mapping[str, float]
    """Arm -> share of its picks that are near-duplicates of an earlier one, where some are
    planted."""


def run_study(study: TextStudy, folder: Path) -> Outcome:
    """Run what is missing of a study; the folder keeps a row for each target and arm."""
    from ttc_rl.train.packaged import packaged_model
    from ttc_rl.train.text_trainer import TextTrainer, byte_model

    texts = read_passages(study.texts, study.passage)
    asked = study.model_dump(mode="json", exclude={"seeds", "arms"})
    rows_file = rows_of_study(folder, asked, "ttt.jsonl")
    if study.bytes is not None:
        base = byte_model(study.bytes, [passage.text for passage in texts["base"]], 0)
    else:
        assert study.model is not None
        base = packaged_model(study.model) or study.model
    done = {(row["seed"], row["target"], row["arm"]) for row in _rows(rows_file)}
    owed = len(study.seeds) * study.targets * len(study.arms)
    pace = Pace("test-time training", units="measurements")
    trainer: TextTrainer | None = None
    for seed in study.seeds:
        if all((seed, n, arm) in done for n in range(study.targets) for arm in study.arms):
            continue
        drawn = _drawn(study, texts["target"], texts["store"], seed)
        trainer = trainer or TextTrainer(base, study.learning_rate)
        for number, arm, rows in _chosen(study, drawn, seed):
            if (seed, number, arm) in done:
                continue
            picks = [drawn.store[row].text for row in rows]
            target = drawn.targets[number]
            after = [0, *curve_points(study.picks)]
            bits = trainer.measured(picks, target.text, after)
            origin = [drawn.echo_of.get(row, row) for row in rows]
            repeats = 1 - len(set(origin)) / len(origin)
            row = {
                "seed": seed, "target": number, "arm": arm, "bits": bits, "repeats": repeats,
                "file": target.file,
            }  # fmt: skip
            append_jsonl(rows_file, [row], to_disk=False)
            done.add((seed, number, arm))
            pace(len(done), owed, 0)
    return outcome(study, list(_rows(rows_file)))


def _rows(path: Path) -> Iterator[Row]:
    return read_jsonl(path, "seed", "target", "arm", "bits")


@dataclass(frozen=True)
class _Drawn:
    targets: Sequence[Passage]
    store: Sequence[Passage]
    echo_of: Mapping[int, int]
    target_MD: np.ndarray
    store_ND: np.ndarray


def _drawn(
    study: TextStudy, targets: Sequence[Passage], store: Sequence[Passage], seed: int
) -> _Drawn:
    """Return a seed's targets and store, with their vectors."""
    from ttc_rl.embed import embed

    for what, have, want in (("targets", targets, study.targets), ("store", store, study.picks)):
        if len(have) < want:
            raise UserError(f"{what}: the texts hold {len(have)} passages of {want}; name more")
    rng = random.Random(f"passages {seed}")
    tested = rng.sample(targets, study.targets)
    chosen = rng.sample(store, min(study.store, len(store)))
    whole, echo_of = with_echoes(chosen, study.echoes, seed)
    vectors = [embed([p.text for p in part], study.embed)[:] for part in (tested, whole)]
    return _Drawn(tested, whole, echo_of, *map(np.asarray, vectors))


def _chosen(study: TextStudy, drawn: _Drawn, seed: int) -> Iterator[tuple[int, str, list[int]]]:
    """Yield each target's number with each arm's picks for it, in training order."""
    cosine_MN = drawn.target_MD @ drawn.store_ND.T
    for number in range(len(drawn.targets)):
        near = np.argsort(-cosine_MN[number], kind="stable")[: study.candidates]
        for arm in study.arms:
            if arm == "nearest":
                rows = near[: study.picks].tolist()
            elif arm == "random":
                rng = random.Random(f"picks {seed} {number}")
                rows = rng.sample(range(len(drawn.store)), study.picks)
            else:
                aim_1D = drawn.target_MD[number][None]
                picks = greedy(drawn.store_ND[near], aim_1D, study.picks, study.noise)
                rows = near[picks].tolist()
            yield number, arm, rows


def outcome(study: TextStudy, rows: Sequence[Row]) -> Outcome:
    """Return means over the targets of all seeds; a target is the unit of the intervals."""
    wanted = [row for row in rows if row["seed"] in study.seeds and row["arm"] in study.arms]
    relative: dict[str, dict[tuple[int, int], dict[int, float]]] = {arm: {} for arm in study.arms}
    base: dict[tuple[int, int], float] = {}
    for row in wanted:
        key, bits = (row["seed"], row["target"]), {int(k): v for k, v in row["bits"].items()}
        base[key] = bits[0]
        relative[row["arm"]][key] = {count: value / bits[0] for count, value in bits.items()}
    last = study.picks
    arms = {
        arm: {
            count: t_interval([values[count] for values in of.values()])
            for count in curve_points(study.picks)
        }
        for arm, of in relative.items()
    }
    pairs = [(a, b) for i, a in enumerate(study.arms) for b in study.arms[:i]]
    differences = {
        f"{a} - {b}": t_difference(
            [relative[a][key][last] - relative[b][key][last] for key in relative[a]]
        )
        for a, b in pairs
    }
    repeats = {
        arm: float(np.mean([row["repeats"] for row in wanted if row["arm"] == arm]))
        for arm in study.arms
    }
    return Outcome(len(base), t_interval(list(base.values())), arms, differences, repeats)


def tables(found: Outcome) -> str:
    """Return the outcome as Markdown."""
    counts = list(next(iter(found.arms.values())))
    head = "| picks trained on | " + " | ".join(map(str, counts)) + " | repeated picks |"
    lines = [head, "|:--|" + "--:|" * (len(counts) + 1)]
    for arm, values in found.arms.items():
        cells = [share(values[count]) for count in counts]
        lines.append(f"| {arm} | {' | '.join(cells)} | {100 * found.repeats[arm]:.0f} % |")
    lines += ["", "| after all picks | points | p |", "|:--|--:|--:|"]
    for pair, difference in found.differences.items():
        p = "" if difference.p is None else f"{difference.p:.2g}"
        lines.append(f"| {pair} | {_finely(difference)} | {p} |")
    about = (
        f"{found.targets} targets, {found.base.value:.3f} bits per byte before any step. Bits per "
        "byte in % of that (lower is better), with 95 % intervals over targets."
    )
    return "\n".join([about, "", *lines])


def _finely(difference: Difference) -> str:
    """Return a difference in points with two digits: they are small here."""
    value, *ends = (
        None if end is None else f"{100 * end:+.2f}"
        for end in (difference.value, difference.lo, difference.hi)
    )
    return f"{value} [{ends[0]}, {ends[1]}]" if None not in ends else f"{value}"
