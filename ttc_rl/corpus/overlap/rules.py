"""Corpus tasks that overlap with the targets, by their texts.

    exact    the same prompt: NFKC, lower case, letters and digits only
    content  the same (family, content) in `meta`: a procedural task under another wording
    ngram    |G(corpus task) & G(target)| / |G(target)| >= coverage, G the set of n-grams of tokens
             (runs of letters and digits, lower case); a target of fewer than n tokens has no
             n-gram, so there a corpus task goes that contains all of it, in a row
    fuzzy    w(S(corpus task) & S(target)) / min(w(S(corpus task)), w(S(target))) >= fuzzy, S the
             4-grams of characters, w the rarity of each (`shingles.py`): the shorter text stands,
             almost word for word, in the longer. Where both tell their content, that decides.
             Rarity is counted in the whole corpus, and in a corpus of several kinds once more among
             the tasks of the target's kind, where "Example 1: Input" is the frame that it is

Golds are not looked at: an equal prompt with another gold goes too. Texts do not show translations,
nor a problem told anew; `near.py` looks at embeddings.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from ttc_rl.config import OverlapConfig
from ttc_rl.corpus.overlap.grams import GramIndex
from ttc_rl.corpus.overlap.join import similar_pairs
from ttc_rl.corpus.overlap.records import OverlapResult, Removed, Rule
from ttc_rl.corpus.overlap.shingles import BLOCK, Vocabulary
from ttc_rl.corpus.overlap.texts import content_of, first_rows, plain_text
from ttc_rl.schema import Task


def remove_overlap(
    corpus: Sequence[Task], targets: Sequence[Task], config: OverlapConfig
) -> OverlapResult:
    """Return which corpus tasks may be trained on. Rules are tried in the order of the list
    above."""
    overlaps = dict(_by_index(corpus, targets, config))
    if config.fuzzy is not None:
        for kinds in _kinds(corpus, targets):
            rest = [
                row for row, task in enumerate(corpus) if row not in overlaps and task.kind in kinds
            ]
            overlaps |= _by_shingles(corpus, rest, targets, config.fuzzy, kinds)
    rows = [row for row in range(len(corpus)) if row not in overlaps]
    remaining = remaining_overlap([corpus[row] for row in rows], targets)
    removed = [overlaps[row] for row in sorted(overlaps)]
    return OverlapResult(rows, removed, len(corpus), len(targets), config, remaining)


def _by_index(
    corpus: Sequence[Task], targets: Sequence[Task], config: OverlapConfig
) -> Iterator[tuple[int, Removed]]:
    keys = first_rows(plain_text(target.prompt) for target in targets)
    contents = first_rows(content_of(target) for target in targets)
    grams = GramIndex([target.prompt for target in targets], config)

    def why(task: Task) -> tuple[int, Rule, str] | None:
        row = keys.get(plain_text(task.prompt))
        if row is not None:
            return row, "exact", "same prompt"
        content = content_of(task)
        if content is not None and content in contents:
            return contents[content], "content", f"same content of family {content[0]!r}"
        overlap = grams.find(task.prompt)
        return (overlap[0], "ngram", overlap[1]) if overlap else None

    for row, task in enumerate(corpus):
        overlap = why(task)
        if overlap is not None:
            target, rule, detail = overlap
            yield row, Removed(task.id, targets[target].id, rule, detail)


def _kinds(corpus: Sequence[Task], targets: Sequence[Task]) -> list[frozenset[str]]:
    """Return the kinds among which rarity is counted: each of the targets', and all together."""
    every = frozenset(task.kind for task in (*corpus, *targets))
    alone = {frozenset([target.kind]) for target in targets} - {every}
    return [*sorted(alone, key=sorted), every]


def _by_shingles(
    corpus: Sequence[Task],
    rows: Sequence[int],
    targets: Sequence[Task],
    threshold: float,
    kinds: frozenset[str],
) -> dict[int, Removed]:
    """Return those of the rows that reach the threshold. Rarity is that among tasks of these
    kinds."""
    targets = [target for target in targets if target.kind in kinds]
    prompts = [target.prompt for target in targets]
    counted = (task.prompt for task in corpus if task.kind in kinds)
    vocabulary = Vocabulary([*counted, *prompts])
    target_sets = vocabulary.sets(prompts)
    best: dict[int, tuple[float, int]] = {}
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        sets = vocabulary.sets([corpus[row].prompt for row in block])
        pairs = similar_pairs(sets, target_sets, threshold, "containment")
        for i, j, similarity in zip(pairs.i, pairs.j, pairs.similarity, strict=True):
            if content_of(corpus[block[i]]) and content_of(targets[j]):
                continue
            candidate = (float(similarity), -int(j))
            best[block[i]] = max(best.get(block[i], candidate), candidate)
    return {
        row: Removed(
            corpus[row].id,
            targets[-target].id,
            "fuzzy",
            f"{similarity:.2f} of the shorter text is in the longer",
            similarity,
        )
        for row, (similarity, target) in best.items()
    }


def remaining_overlap(tasks: Sequence[Task], targets: Sequence[Task]) -> int:
    """Return how many tasks equal a target in prompt or content. Shares no code with the rules
    above."""

    def letters(text: str) -> str:
        folded = unicodedata.normalize("NFKC", text).lower()
        return "".join(filter(str.isalnum, folded)) or folded

    prompts = {letters(target.prompt) for target in targets}
    contents = {
        (target.meta.get("family"), str(target.meta["content"]))
        for target in targets
        if target.meta.get("content") is not None
    }
    return sum(
        letters(task.prompt) in prompts
        or (task.meta.get("family"), str(task.meta.get("content"))) in contents
        for task in tasks
    )
