"""What each overlap rule finds in real data, and how long it takes. Not run by pytest.

python tests/benchmarks/overlap.py quasar_mix aime2024 [--cosine] [--show 5]

Planted pairs are known from the data: LiveCodeBench and LeetCode by title, MBPP by number.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterable
from pathlib import Path

from ttc_rl import load_tasks
from ttc_rl.config import EmbedConfig, OverlapConfig
from ttc_rl.corpus.overlap import remove_overlap
from ttc_rl.schema import Task

DATA = Path(os.environ.get("TTC_RL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def planted(benchmark: str, corpus: list[Task], targets: list[Task]) -> set[str]:
    """Ids of the corpus tasks that are known to be a target's problem; none where none are."""

    def key(text: str) -> str:
        return "".join(filter(str.isalnum, text.lower()))

    def last(task: Task) -> str:
        return str(task.meta.get("id", "")).split("/")[-1]

    if benchmark.startswith("livecodebench"):
        wanted = {key(str(target.meta["title"])) for target in targets}
    elif benchmark.startswith("mbpp"):
        wanted = {key(last(target)) for target in targets}
    else:
        wanted = set[str]()
    return {task.id for task in corpus if key(last(task)) in wanted}


def tell(label: str, pairs: Iterable[tuple[str, str]], known: set[str], started: float) -> None:
    found = set(pairs)
    gone = {task for task, _ in found}
    say(
        f"{label}: {len(gone)} tasks, {len({target for _, target in found})} targets; planted "
        f"{len(gone & known)} of {len(known)}, others {len(gone - known)}; "
        f"{time.perf_counter() - started:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("benchmark")
    parser.add_argument("--cosine", action="store_true", help="embed, and try the cosine rule too")
    parser.add_argument("--show", type=int, default=0, help="print so many pairs of each threshold")
    asked = parser.parse_args()
    corpus = load_tasks(str(DATA / "corpus" / f"{asked.corpus}.jsonl.gz"), strict=False)
    (path,) = (DATA / "benchmarks").glob(f"{asked.benchmark}.jsonl*")
    targets = load_tasks(str(path), strict=False)
    prompts = {task.id: task.prompt for task in (*corpus, *targets)}
    known = planted(asked.benchmark, corpus, targets)
    for fuzzy in (None, 0.9, 0.8, 0.7, 0.6):
        started = time.perf_counter()
        result = remove_overlap(corpus, targets, OverlapConfig(fuzzy=fuzzy))
        pairs = [(removed.task_id, removed.target_id) for removed in result.removed]
        tell(f"fuzzy {fuzzy} {result.report()['by_rule']}", pairs, known, started)
        near = [removed for removed in result.removed if removed.rule == "fuzzy"]
        for one in random.Random(0).sample(near, min(asked.show, len(near))):
            say(f"  {one.similarity:.2f} {prompts[one.task_id][:150]!r}")
            say(f"       {prompts[one.target_id][:150]!r}")
    if asked.cosine:
        from ttc_rl.corpus.overlap.near import near_duplicates
        from ttc_rl.embed import embed

        corpus_ND = embed([task.prompt for task in corpus], EmbedConfig())
        target_MD = embed([task.prompt for task in targets], EmbedConfig())
        for threshold in (0.95, 0.9, 0.85, 0.8):
            started = time.perf_counter()
            found = near_duplicates(corpus_ND, target_MD, threshold)
            rows = zip(found.i, found.j, strict=True)
            pairs = [(corpus[i].id, targets[j].id) for i, j in rows]
            tell(f"cosine {threshold}", pairs, known, started)


if __name__ == "__main__":
    main()
