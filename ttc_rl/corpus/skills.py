"""A procedural source: short tasks of fifteen skills, worded as little stories, checked exactly.

It is the embedded default: a tiny model learns it from scratch on a CPU in minutes, and the skill
behind each task is known, so that relevance has a ground truth. A task is a skill applied to a
content, e.g. `reverse` to "c a f". Contents are split three ways by a hash (`pretrain`, `train`,
`test`), so a base model's data, a corpus and a benchmark never share a content, under any wording.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

from ttc_rl.config import SkillsConfig
from ttc_rl.schema import Task, UserError

LETTERS = "abcdefghij"
SPLITS = {"pretrain": range(0, 3), "train": range(3, 6), "test": range(6, 8)}  # eighths


@dataclass(frozen=True)
class Skill:
    """How contents are drawn, what the answer is, and how the story is told."""

    draw: Callable[[random.Random, int], list[str]]
    """(rng, level) -> the items of one task; a higher level is longer."""
    answer: Callable[[list[str]], list[str]]
    stories: tuple[str, ...]
    """Wordings; `{x}` stands for the items."""
    steps: Callable[[list[str]], list[str]] | None = None
    """Intermediate results worth writing down before the answer."""


def _letters(rng: random.Random, level: int) -> list[str]:
    return rng.sample(LETTERS, level + 2)


def _repeated(rng: random.Random, level: int) -> list[str]:
    """Return letters in which some occur twice in a row."""
    items: list[str] = []
    for letter in rng.sample(LETTERS, level + 1):
        items += [letter] * rng.choice((1, 1, 2))
    return items if len(set(items)) < len(items) else [items[0], *items]


def _short(rng: random.Random, level: int) -> list[str]:
    return rng.sample(LETTERS, level + 1)


def _with_query(rng: random.Random, level: int) -> list[str]:
    """Return letters, the last of which names one that occurs among the others."""
    items = [rng.choice(LETTERS[:5]) for _ in range(level + 2)]
    return [*items, rng.choice(items)] if len(set(items)) > 1 else _with_query(rng, level)


def _digits(rng: random.Random, level: int) -> list[str]:
    return [str(rng.randint(1, 9)) for _ in range(level + 1)]


def _shifted(items: list[str], by: int) -> list[str]:
    return [LETTERS[(LETTERS.index(item) + by) % len(LETTERS)] for item in items]


def _totals(items: list[str]) -> list[str]:
    return [str(total) for total in itertools.accumulate(int(item) for item in items)]


SKILLS: dict[str, Skill] = {
    "reverse": Skill(
        _letters,
        lambda x: x[::-1],
        (
            "a queue of dancers {x} turns around . who stands where now ?",
            "the dancers {x} face the other way . read the queue from its new front",
        ),
    ),
    "rotate": Skill(
        _letters,
        lambda x: [*x[1:], x[0]],
        (
            "on a ring of beads {x} the first bead slides to the end . the ring is",
            "slide one bead of the ring {x} from the start to the end",
        ),
    ),
    "sort": Skill(
        _letters,
        sorted,
        (
            "put the library books {x} on the shelf in alphabetical order",
            "the shelf of the library holds {x} . sort the books by title",
        ),
    ),
    "cipher": Skill(
        _letters,
        lambda x: _shifted(x, 1),
        (
            "write the secret message {x} in code : each letter becomes the next one",
            "the spy hides the message {x} by moving every letter one step forward",
        ),
    ),
    "decode": Skill(
        _letters,
        lambda x: _shifted(x, -1),
        (
            "an old telegram arrived as {x} and must be moved one letter back to be understood",
            "restore the telegram {x} : each sign goes one place back in the alphabet",
        ),
    ),
    "dedupe": Skill(
        _repeated,
        lambda x: list(dict.fromkeys(x)),
        (
            "the parrot stutters {x} . what did it want to say without repeating ?",
            "remove the stutter of the parrot from {x}",
        ),
    ),
    "double": Skill(
        _short,
        lambda x: [item for item in x for _ in range(2)],
        (
            "in the canyon every call {x} has one echo right after it . we hear",
            "the mountain echo says each sound of {x} twice",
        ),
    ),
    "ends": Skill(
        _letters,
        lambda x: [x[-1], *x[1:-1], x[0]],
        (
            "the train has wagons {x} . swap the first wagon and the last one",
            "at the station the first and the last wagon of the train {x} trade places",
        ),
    ),
    "skip": Skill(
        _letters,
        lambda x: x[::2],
        (
            "the postman on the street {x} rings at every second house from the first on",
            "walking down the street {x} the postman leaves out every other house",
        ),
    ),
    "mirror": Skill(
        _short,
        lambda x: [*x, *x[::-1]],
        (
            "the trees {x} stand by a lake . write them followed by their reflection",
            "beside the still water {x} is seen and then its reflection in the lake",
        ),
    ),
    "weave": Skill(
        _short,
        lambda x: [thread for item in x for thread in (item, "z")],
        (
            "knit the scarf {x} with a thread of z after each colour",
            "grandmother knits {x} and puts z behind every colour of the scarf",
        ),
    ),
    "drop": Skill(
        _with_query,
        lambda x: [item for item in x[:-1] if item != x[-1]],
        (
            "the soup holds {x} but the last named spice must be taken out wherever it is",
            "a cook tastes {x} and removes the spice named last from all the soup",
        ),
    ),
    "count": Skill(
        _with_query,
        lambda x: [str(x[:-1].count(x[-1]))],
        (
            "in the fruit basket are {x} where the last is a sample : how many of it before ?",
            "how often is the last fruit of {x} found earlier in the basket ?",
        ),
    ),
    "biggest": Skill(
        _digits,
        lambda x: [max(x)],
        (
            "the fishermen caught fish of {x} kilos . how heavy was the biggest ?",
            "name the heaviest of the fish weighing {x} kilos",
        ),
    ),
    "sums": Skill(
        _digits,
        lambda x: _totals(x)[-1:],
        (
            "the purse gets {x} coins . how much money is in it ?",
            "add up the money : {x} coins were paid into the purse",
        ),
        steps=_totals,
    ),
}


def make_skills(config: SkillsConfig) -> list[Task]:
    """Return `tasks_per_family` different tasks of each family, in a seeded order; kind `exact`.

    `meta` holds family, level, content, and `solution`, the text that a base model learns to write.
    A family too small for the number asked gives all it has.
    """
    names = config.families or list(SKILLS)
    for name in names:
        if name not in SKILLS:
            raise UserError(f"no skill family {name!r}; there are {', '.join(SKILLS)}")
    rng = random.Random(f"skills {config.seed} {config.split}")
    tasks = [task for name in names for task in _family(name, config, rng)]
    rng.shuffle(tasks)
    return tasks


def one_fewer(task: Task) -> Task | None:
    """Return the same story about one element fewer, with its own answer; None where no such
    content is of the test split, or the task is of another source."""
    name, content = task.meta.get("family"), str(task.meta.get("content", ""))
    if name not in SKILLS or content not in task.prompt:
        return None
    items, skill = content.split(), SKILLS[name]
    for i in range(len(items) - (skill.draw is _with_query)):  # whose last item is the question
        fewer = items[:i] + items[i + 1 :]
        if _eighth(name, " ".join(fewer)) in SPLITS["test"]:
            gold = " ".join(skill.answer(fewer))
            meta = {"family": name, "level": task.meta["level"], "content": " ".join(fewer)}
            prompt = task.prompt.replace(content, " ".join(fewer))
            return Task("exact", prompt, gold, source=task.source, meta=meta)
    return None


def _family(name: str, config: SkillsConfig, rng: random.Random) -> list[Task]:
    skill, tasks = SKILLS[name], dict[str, Task]()
    for _ in range(40 * config.tasks_per_family):
        level = rng.choice(config.levels)
        items = skill.draw(rng, level)
        content = " ".join(items)
        if content not in tasks and _eighth(name, content) in SPLITS[config.split]:
            tasks[content] = _task(name, skill, items, level, rng)
            if len(tasks) == config.tasks_per_family:
                break
    return list(tasks.values())


def _eighth(name: str, content: str) -> int:
    """Return which of eight equal parts a content belongs to. Depends on nothing else."""
    return hashlib.sha256(f"{name} {content}".encode()).digest()[0] % 8


def _task(name: str, skill: Skill, items: list[str], level: int, rng: random.Random) -> Task:
    gold = " ".join(skill.answer(items))
    steps = " ".join(skill.steps(items)) + " ; " if skill.steps else ""
    return Task(
        kind="exact",
        prompt=rng.choice(skill.stories).format(x=" ".join(items)),
        gold=gold,
        source=f"skills/{name}",
        meta={
            "family": name,
            "level": level,
            "content": " ".join(items),
            "solution": f"{steps}answer {gold}",
        },
    )
