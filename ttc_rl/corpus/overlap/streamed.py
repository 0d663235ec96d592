"""Repeats inside a corpus that is read as a stream, and never held whole.

`exact` is the rule of `dedupe.py` over all tasks. `fuzzy` is asked of the tasks of one cluster
alone: clusters hold what may be near, and are made by whoever calls (MinHash, `launch/`). Rarity is
counted in the whole corpus, so a pair of one cluster gets the similarity that `dedupe.py` gives it.
Of a task no more than its id and 16 bytes is kept, unless it stands in a cluster.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from ttc_rl.config import DedupeConfig
from ttc_rl.corpus.overlap.dedupe import Duplicate, exact_key, fuzzy_duplicates
from ttc_rl.corpus.overlap.shingles import BLOCK, Vocabulary
from ttc_rl.schema import Task

Read = Callable[[], Iterator[Task]]
"""Gives the corpus from its beginning, in the same order every time."""
Member = tuple[int, Task]
"""A row of the corpus and its task."""


def streamed_duplicates(
    read: Read, gone: Collection[int], cluster_of: Mapping[int, int], config: DedupeConfig
) -> dict[int, Duplicate]:
    """Return the duplicates by row, in the order of the corpus. Rows in `gone` take no part.

    The corpus is read three times: for `exact`, and twice for the rarity of what that leaves.
    """
    first: dict[bytes, str] = {}
    removed: dict[int, Duplicate] = {}
    clusters: dict[int, list[Member]] = defaultdict(list)
    for row, task in enumerate(read()):
        if row in gone:
            continue
        if config.exact:
            of_id = first.setdefault(_digest(task), task.id)
            if of_id != task.id:
                removed[row] = Duplicate(task.id, of_id, "exact", 1.0)
                continue
        if row in cluster_of:
            clusters[cluster_of[row]].append((row, task))
    first.clear()
    if config.fuzzy is not None:
        vocabulary = Vocabulary(_Prompts(read, {*gone, *removed}))
        for members in _together(clusters.values()):
            stay, near = fuzzy_duplicates([task for _, task in members], vocabulary, config.fuzzy)
            left = set(stay)
            rows = [row for place, (row, _) in enumerate(members) if place not in left]
            removed |= dict(zip(rows, near, strict=True))
    return {row: removed[row] for row in sorted(removed)}


def _digest(task: Task) -> bytes:
    key = repr(exact_key(task)).encode("utf-8", "surrogatepass")
    return blake2b(key, digest_size=16).digest()


@dataclass(frozen=True)
class _Prompts:
    """The prompts of a corpus without some rows, from the beginning each time."""

    read: Read
    without: set[int]

    def __iter__(self) -> Iterator[str]:
        return (task.prompt for row, task in enumerate(self.read()) if row not in self.without)


def _together(clusters: Iterable[list[Member]]) -> Iterator[list[Member]]:
    """Yield whole clusters, so many at once as fill a block, in the order of the corpus."""
    block: list[Member] = []
    for cluster in clusters:
        block += cluster
        if len(block) >= BLOCK:
            yield sorted(block, key=lambda member: member[0])
            block = []
    yield sorted(block, key=lambda member: member[0])
