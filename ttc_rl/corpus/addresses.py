"""Parts of a benchmark, and the wording in which its tasks are shown.

    NAME[/PIECE...][@COUNT][=FILE]   NAME is a benchmark of the tool, or a file that describes one

    math500/algebra+geometry         tasks whose `subset` key has one of the values
    skills/not-cipher+decode         tasks whose `subset` key has none of them
    livecodebench/v6                 a release
    livecodebench/v6/2025-02..2025-04    days from the first month to the end of the second
    mmlu-pro@200, mmlu-pro/law@50    that many at random, the same ones every time, everywhere
    my/riddles.yaml/easy             a part of the benchmark that the file describes
    evals/riddles.py@easy_ones       a task of Inspect's, where the file has several
    gpqa-diamond=my/gpqa.jsonl       the tasks of a file, under the benchmark's name and settings

Pieces narrow one after another. Smaller draws are contained in larger ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ttc_rl.corpus.benchmark_config import (
    DESCRIBES,
    BenchmarkConfig,
    is_described,
    title_of,
    unknown,
)
from ttc_rl.corpus.rows import reach
from ttc_rl.schema import Task, UserError, content_hash

DRAW_SEED = 0
NOT = "not-"
_ADDRESS = re.compile(
    rf"(?P<base>{DESCRIBES}|[^/@=\s]+)(?P<pieces>(?:/[^/@=]+)*)(?:@(?P<count>\d+))?"
)
_MONTH = r"\d{4}-\d{2}(?:-\d{2})?"
_WINDOW = re.compile(rf"(?P<first>{_MONTH})?\.\.(?P<last>{_MONTH})?")
_PLACE = re.compile(r"\{([a-z_]+(?:\.[a-z_0-9]+)*)\}")


@dataclass(frozen=True)
class Address:
    name: str
    """All but the file: the name under which results are kept, such as `riddles/easy`."""
    base: str
    """The benchmark: its name, or the path of the file that describes it."""
    pieces: tuple[str, ...] = ()
    count: int | None = None
    file: str | None = None


def address(text: str) -> Address:
    """Return the parts of an address. Raises UserError for what is no address of a benchmark."""
    name, equals, file = text.partition("=")
    match = _ADDRESS.fullmatch(name)
    if match is None or (equals and not file):
        raise UserError(f"{text!r}: a benchmark is addressed as NAME[/PART][@COUNT][=FILE]")
    count = int(match["count"]) if match["count"] else None
    pieces = tuple(match["pieces"].split("/")[1:])
    title = title_of(match["base"]) if is_described(match["base"]) else match["base"]
    name = title + name.removeprefix(match["base"])
    return Address(name, match["base"], pieces, count, file or None)


def narrowed(tasks: Sequence[Task], where: Address, config: BenchmarkConfig) -> list[Task]:
    """Return the part of the tasks that is addressed, in their order. Releases are chosen
    before."""
    for piece in where.pieces:
        window = _WINDOW.fullmatch(piece)
        if piece in config.releases:
            continue
        if window and config.date:
            tasks = _within(tasks, where, config.date, window["first"] or "", window["last"] or "9")
        else:
            tasks = _of_subset(tasks, where, config, piece)
    if where.count is not None:
        tasks = drawn(tasks, where.count, where.name)
    return list(tasks)


def _within(
    tasks: Sequence[Task], where: Address, key: str, first: str, last: str
) -> Sequence[Task]:
    """Return the tasks of a window of days. ISO days compare as text: `2024-08` <= `2024-08-03`;
    the last month counts to its end."""
    days = [str(task.meta.get(key, "")) for task in tasks]
    chosen = [
        task
        for task, day in zip(tasks, days, strict=True)
        if day and first <= day and day[: len(last)] <= last
    ]
    if not chosen:
        dated = sorted(filter(None, days))
        span = f"its days go from {dated[0]} to {dated[-1]}" if dated else "its tasks have no days"
        raise UserError(f"{where.name}: no task is from this time; {span}")
    return chosen


def _of_subset(
    tasks: Sequence[Task], where: Address, config: BenchmarkConfig, piece: str
) -> Sequence[Task]:
    if config.subset is None:
        raise UserError(f"benchmark {where.base} has no parts, so {where.name} names nothing")
    values = [slug(task.meta.get(config.subset, "")) for task in tasks]
    parts = [*config.releases, *sorted(set(values) - {""})]
    named = [slug(part) for part in piece.removeprefix(NOT).split("+")]
    for part in named:
        if part not in parts:
            raise UserError(unknown(f"part of {where.base}", part, parts))
    others = piece.startswith(NOT)
    return [task for task, value in zip(tasks, values, strict=True) if (value in named) != others]


def slug(value: Any) -> str:
    """Return a value as addresses write it: `Counting & Probability` is `counting-probability`."""
    return re.sub(r"[^a-z0-9_]+", "-", str(value).lower()).strip("-")


def drawn(tasks: Sequence[Task], count: int, name: str) -> list[Task]:
    """Return the `count` tasks whose hashes with the seed are smallest: random, the same
    everywhere."""
    if not 0 < count <= len(tasks):
        raise UserError(f"{name}: {count} tasks requested; there are {len(tasks)}")
    order = sorted(range(len(tasks)), key=lambda i: content_hash([DRAW_SEED, tasks[i].id]))
    return [tasks[i] for i in sorted(order[:count])]


# --------------------------------------------------------------------------- wording


def worded(tasks: Sequence[Task], template: str) -> list[Task]:
    """Return the tasks with `meta.shown`. Task ids, overlap and embeddings see the problem
    alone."""
    if not template:
        return list(tasks)
    return [replace(task, meta={**task.meta, "shown": shown(task, template)}) for task in tasks]


def shown(task: Task, template: str) -> str:
    """Return the template with its places filled: `{prompt}`, `{tests.0.code}`,
    `{meta.starter_code}`.

    A paragraph with a place for which this task has nothing is left out.
    """
    fields = {"prompt": task.prompt, "tests": list(task.tests), "meta": task.meta}
    filled = [_filled(part, fields) for part in re.split(r"\n{2,}", template.strip())]
    return "\n\n".join(part for part in filled if part is not None)


def _filled(paragraph: str, fields: Mapping[str, Any]) -> str | None:
    places = _PLACE.findall(paragraph)
    values = {place: reach(fields, place) for place in places}
    if any(value in (None, "") for value in values.values()):
        return None
    return _PLACE.sub(lambda match: str(values[match[1]]).strip("\n"), paragraph)
