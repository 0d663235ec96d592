"""A procedural source for small real models: everyday questions in plain English, checked exactly.

Twenty-five families, several wordings each, real words and numbers, answers of one to four words.
It is what `skills` is for models trained from scratch: relevance has a ground truth, `meta.family`,
and no content is in two splits. A content is what a question is about, e.g. `27 + 82`. Its hash
decides whether it is of `warmup`, `train` or `test`, under any wording.

Two things are planted in it, so that nearness alone is not enough to choose by:

    near misses       families of one `meta.group` share their wordings but for a word or two and
                      ask for something else: the largest or the smallest, a sum or a difference
    near-duplicates   with `echoes`, every fourth content of a family is told so many times more,
                      in the same words behind another opening (`meta.echo`)
"""

from __future__ import annotations

import datetime
import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ttc_rl.config import EverydayConfig
from ttc_rl.schema import Task, UserError

SPLITS = {"warmup": range(0, 2), "train": range(2, 6), "test": range(6, 8)}  # eighths
OPENINGS = ("Quick question: ", "Please answer this. ", "Hello! ", "One more: ")
ECHOED = 4
"""One content in so many has echoes."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WORDS: Sequence[str] = (
    "apple", "bread", "chair", "dress", "engine", "flower", "garden", "hammer", "island",
    "jacket", "kitchen", "lemon", "mirror", "needle", "orange", "pencil", "queen", "river",
    "spoon", "table", "umbrella", "village", "window", "yellow", "zebra", "bottle", "candle",
    "dinner", "elbow", "farmer", "guitar", "honey", "insect", "jungle", "kettle", "ladder",
    "market", "number", "ocean", "paper", "rabbit", "summer", "ticket", "uncle", "valley",
    "winter", "basket", "cotton", "doctor", "forest", "glove", "horse", "leaf", "music", "night",
    "pocket", "roof", "stone", "train", "wheel",
)  # fmt: skip
NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Iris", "Jack")
THINGS = ("stamps", "marbles", "books", "coins", "cards", "shells", "pens", "eggs", "cups", "balls")
CATEGORIES = {
    "an animal": ("dog", "cat", "horse", "rabbit", "cow", "tiger", "mouse", "duck"),
    "a fruit": ("apple", "pear", "banana", "cherry", "grape", "lemon", "peach", "plum"),
    "a colour": ("red", "blue", "green", "yellow", "purple", "brown", "white", "grey"),
    "a tool": ("hammer", "saw", "drill", "wrench", "axe", "shovel", "pliers", "rake"),
    "a piece of clothing": ("shirt", "jacket", "skirt", "sock", "hat", "glove", "scarf", "coat"),
    "a drink": ("tea", "coffee", "milk", "juice", "water", "cocoa", "wine", "soda"),
}
UNITS = (
    ("hours", "minutes", 60), ("minutes", "seconds", 60), ("weeks", "days", 7),
    ("metres", "centimetres", 100), ("kilometres", "metres", 1000), ("feet", "inches", 12),
    ("kilograms", "grams", 1000), ("dozens", "pieces", 12), ("yards", "feet", 3),
    ("dollars", "cents", 100), ("centuries", "years", 100), ("days", "hours", 24),
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    """One content of a family: what fills the wordings, and the answer."""

    content: str
    """What the question is about, the same under every wording."""
    answer: str
    fields: dict[str, str]
    """Place of a wording -> what stands there."""


@dataclass(frozen=True)
class Family:
    group: str
    """Families of one group are near misses of each other."""
    draw: Callable[[random.Random], Question]
    wordings: tuple[str, ...]


def make_everyday(config: EverydayConfig) -> list[Task]:
    """Return `tasks_per_family` different contents of each family, in a seeded order; kind `exact`.

    Each content is told in one of its family's wordings, and, with `echoes`, every fourth one that
    many times more. `meta` holds family, group, content, wording, and `solution`, the reply that a
    warm-up teaches. A family too small for the number gives all it has.
    """
    names = config.families or list(FAMILIES)
    for name in names:
        if name not in FAMILIES:
            raise UserError(f"no everyday family {name!r}; there are {', '.join(FAMILIES)}")
    rng = random.Random(f"everyday {config.seed} {config.split}")
    tasks = [task for name in names for task in _tasks(name, config, rng)]
    rng.shuffle(tasks)
    return tasks


def _tasks(name: str, config: EverydayConfig, rng: random.Random) -> list[Task]:
    family, drawn, tasks = FAMILIES[name], set[str](), list[Task]()
    for _ in range(60 * config.tasks_per_family):
        question = family.draw(rng)
        part = _hash_byte(name, question.content)
        if question.content in drawn or part % 8 not in SPLITS[config.split]:
            continue
        drawn.add(question.content)
        wording = rng.randrange(len(family.wordings))
        echoes = config.echoes if part // 8 % ECHOED == 0 else 0
        tasks += [_task(name, question, wording, echo) for echo in range(echoes + 1)]
        if len(drawn) == config.tasks_per_family:
            break
    return tasks


def _task(name: str, question: Question, wording: int, echo: int) -> Task:
    """Return the question in a wording; an echo above 0 has that opening before it."""
    family = FAMILIES[name]
    opening = OPENINGS[echo - 1] if echo else ""
    meta = {
        "family": name,
        "group": family.group,
        "content": question.content,
        "wording": wording,
        "solution": f"Answer: {question.answer}",
    }
    return Task(
        kind="exact",
        prompt=opening + family.wordings[wording].format(**question.fields),
        gold=question.answer,
        source=f"everyday/{name}",
        meta=meta | {"echo": echo} if echo else meta,
    )


def _hash_byte(name: str, content: str) -> int:
    return hashlib.sha256(f"{name} {content}".encode()).digest()[0]


# --------------------------------------------------------------------------- what is drawn


def _pair(rng: random.Random, low: int, high: int) -> tuple[int, int]:
    return rng.randint(low, high), rng.randint(low, high)


def _named(rng: random.Random) -> dict[str, str]:
    name, other = rng.sample(NAMES, 2)
    return {"name": name, "other": other, "things": rng.choice(THINGS)}


def _sum(rng: random.Random) -> Question:
    a, b = _pair(rng, 11, 89)
    low, high = sorted((a, b))  # 27 + 82 and 82 + 27 are one content
    return Question(f"{low} + {high}", str(a + b), {"a": str(a), "b": str(b)})


def _difference(rng: random.Random) -> Question:
    a, b = sorted(rng.sample(range(11, 99), 2), reverse=True)
    return Question(f"{a} - {b}", str(a - b), {"a": str(a), "b": str(b)})


def _product(rng: random.Random) -> Question:
    a, b = _pair(rng, 2, 19)
    low, high = sorted((a, b))
    return Question(f"{low} * {high}", str(a * b), {"a": str(a), "b": str(b)})


def _quotient(rng: random.Random) -> Question:
    b, result = rng.randint(2, 12), rng.randint(2, 19)
    return Question(f"{b * result} / {b}", str(result), {"a": str(b * result), "b": str(b)})


def _gained(rng: random.Random) -> Question:
    a, b = _pair(rng, 3, 49)
    return Question(f"{a} + {b}", str(a + b), _named(rng) | {"a": str(a), "b": str(b)})


def _given_away(rng: random.Random) -> Question:
    a, b = sorted(rng.sample(range(3, 60), 2), reverse=True)
    return Question(f"{a} - {b}", str(a - b), _named(rng) | {"a": str(a), "b": str(b)})


def _boxes(rng: random.Random) -> Question:
    a, b = rng.randint(2, 12), rng.randint(3, 15)
    return Question(f"{a} * {b}", str(a * b), _named(rng) | {"a": str(a), "b": str(b)})


def _shown(items: Sequence[object]) -> dict[str, str]:
    return {"x": ", ".join(map(str, items))}


def _arithmetic(rng: random.Random) -> Question:
    start, step = rng.randint(1, 40), rng.choice((*range(2, 13), -2, -3, -4, -5))
    items = [start + step * i for i in range(5)]
    if items[-1] < 0:
        return _arithmetic(rng)
    return Question(f"{start} by {step}", str(items[-1]), _shown(items[:4]))


def _growing(rng: random.Random) -> Question:
    """Return a question whose steps grow by one: 3, 5, 8, 12, 17."""
    start, step = rng.randint(1, 60), rng.randint(1, 9)
    items = [start + step * i + i * (i - 1) // 2 for i in range(5)]
    return Question(f"{start} by {step} growing", str(items[-1]), _shown(items[:4]))


def _numbers(rng: random.Random, count: int) -> list[int]:
    return rng.sample(range(10, 100), count)


def _of_numbers(
    count: int, answer: Callable[[list[int]], object]
) -> Callable[[random.Random], Question]:
    """Return a draw of so many numbers, about which `answer` says something."""

    def draw(rng: random.Random) -> Question:
        items = _numbers(rng, count)
        return Question(" ".join(map(str, sorted(items))), str(answer(items)), _shown(items))

    return draw


def _of_words(
    count: int, answer: Callable[[list[str]], str]
) -> Callable[[random.Random], Question]:
    def draw(rng: random.Random) -> Question:
        items = rng.sample(WORDS, count)
        return Question(" ".join(sorted(items)), answer(items), _shown(items))

    return draw


def _joined(items: Sequence[object]) -> str:
    return ", ".join(map(str, items))


def _counted(rng: random.Random) -> Question:
    items = [rng.choice(WORDS[:6]) for _ in range(rng.randint(4, 7))]
    word = rng.choice(items)
    return Question(
        f"{word} in {' '.join(items)}", str(items.count(word)), _shown(items) | {"word": word}
    )


def _length(rng: random.Random) -> Question:
    items = rng.sample(WORDS, rng.randint(3, 9))
    return Question(" ".join(items), str(len(items)), _shown(items))


def _letter(place: int) -> Callable[[random.Random], Question]:
    def draw(rng: random.Random) -> Question:
        items = rng.sample(WORDS, 2)
        word = "".join(items) if rng.random() < 0.5 else items[0]
        return Question(word, word[place].upper(), {"word": word})

    return draw


def _day(sign: int) -> Callable[[random.Random], Question]:
    def draw(rng: random.Random) -> Question:
        day, by = rng.randrange(7), rng.randint(2, 13)
        return Question(
            f"{WEEKDAYS[day]} {sign * by:+}",
            WEEKDAYS[(day + sign * by) % 7],
            {"day": WEEKDAYS[day], "n": str(by)},
        )

    return draw


def _month(rng: random.Random) -> Question:
    month, by = rng.randrange(12), rng.randint(2, 11)
    fields = {"month": MONTHS[month], "n": str(by)}
    return Question(f"{MONTHS[month]} +{by}", MONTHS[(month + by) % 12], fields)


def _clock(rng: random.Random) -> Question:
    start = datetime.datetime(2000, 1, 1, rng.randint(1, 11), 5 * rng.randrange(12))
    minutes = rng.choice((10, 15, 20, 25, 30, 40, 45, 50, 60, 90))
    then = start + datetime.timedelta(minutes=minutes)
    clock = f"{start.hour}:{start.minute:02}"
    answer = f"{(then.hour - 1) % 12 + 1}:{then.minute:02}"
    return Question(f"{clock} +{minutes}", answer, {"time": clock, "n": str(minutes)})


def _converted(rng: random.Random) -> Question:
    large, small, factor = rng.choice(UNITS)
    count = rng.randint(2, 25)
    fields = {"n": str(count), "large": large, "small": small}
    return Question(f"{count} {large}", str(count * factor), fields)


def _member(rng: random.Random) -> Question:
    kind, other, third = rng.sample(sorted(CATEGORIES), 3)
    answer = rng.choice(CATEGORIES[kind])
    items = [answer, rng.choice(CATEGORIES[other]), rng.choice(CATEGORIES[third])]
    rng.shuffle(items)
    return Question(f"{kind} of {' '.join(sorted(items))}", answer, _shown(items) | {"kind": kind})


FAMILIES: dict[str, Family] = {
    "sum": Family(
        "plus-minus",
        _sum,
        ("What is {a} + {b}?", "What do {a} and {b} make together?", "Work out {a} plus {b}."),
    ),
    "difference": Family(
        "plus-minus",
        _difference,
        ("What is {a} - {b}?", "What does {a} less {b} make?", "Work out {a} minus {b}."),
    ),
    "product": Family(
        "times",
        _product,
        ("What is {a} times {b}?", "Multiply {a} by {b}.", "Work out {a} x {b}."),
    ),
    "quotient": Family(
        "times",
        _quotient,
        ("What is {a} divided by {b}?", "Divide {a} by {b}.", "Work out {a} : {b}."),
    ),
    "gained": Family(
        "story",
        _gained,
        (
            "{name} has {a} {things}. {other} brings {b} more. How many {things} are there now?",
            "There are {a} {things} in a bag, and {name} puts in another {b}. How many is that?",
        ),
    ),
    "given-away": Family(
        "story",
        _given_away,
        (
            "{name} has {a} {things}. {other} takes {b} of them. How many {things} are left now?",
            "There are {a} {things} in a bag, and {name} takes out {b}. How many is that?",
        ),
    ),
    "boxes": Family(
        "story",
        _boxes,
        (
            "{name} has {a} boxes with {b} {things} in each. How many {things} are there?",
            "There are {b} {things} in every bag, and {name} buys {a} bags. How many is that?",
        ),
    ),
    "sequence": Family(
        "sequence",
        _arithmetic,
        (
            "Which number comes next: {x}?",
            "What is the next number after {x}?",
            "Go on with the sequence {x}.",
        ),
    ),
    "growing": Family(
        "sequence",
        _growing,
        (
            "The steps grow. Which number comes next: {x}?",
            "With steps that grow by one, what is the next number after {x}?",
            "Go on with the growing sequence {x}.",
        ),
    ),
    "largest": Family(
        "compare",
        _of_numbers(4, max),
        (
            "Which is the largest number: {x}?",
            "What is the greatest of {x}?",
            "Name the highest of these numbers: {x}.",
        ),
    ),
    "smallest": Family(
        "compare",
        _of_numbers(4, min),
        (
            "Which is the smallest number: {x}?",
            "What is the least of {x}?",
            "Name the lowest of these numbers: {x}.",
        ),
    ),
    "middle": Family(
        "compare",
        _of_numbers(3, lambda items: sorted(items)[1]),
        (
            "Which is the middle number by size: {x}?",
            "What is the median of {x}?",
            "Name the second highest of these numbers: {x}.",
        ),
    ),
    "sort-words": Family(
        "sort",
        _of_words(3, lambda items: _joined(sorted(items))),
        (
            "Sort these words in alphabetical order: {x}.",
            "Put in order from A to Z: {x}.",
            "How are these words listed in a dictionary: {x}?",
        ),
    ),
    "sort-numbers": Family(
        "sort",
        _of_numbers(4, lambda items: _joined(sorted(items))),
        (
            "Sort these numbers in ascending order: {x}.",
            "Put in order from small to large: {x}.",
            "How are these numbers listed from the lowest up: {x}?",
        ),
    ),
    "sort-down": Family(
        "sort",
        _of_numbers(4, lambda items: _joined(sorted(items, reverse=True))),
        (
            "Sort these numbers in descending order: {x}.",
            "Put in order from large to small: {x}.",
            "How are these numbers listed from the highest down: {x}?",
        ),
    ),
    "count-word": Family(
        "count",
        _counted,
        (
            'How often is "{word}" in this list: {x}?',
            'Count how many times "{word}" occurs: {x}.',
        ),
    ),
    "count-all": Family(
        "count",
        _length,
        (
            "How many words are in this list: {x}?",
            "Count how many words there are: {x}.",
        ),
    ),
    "first-letter": Family(
        "letters",
        _letter(0),
        (
            'What is the first letter of "{word}"?',
            'Which letter does "{word}" begin with?',
        ),
    ),
    "last-letter": Family(
        "letters",
        _letter(-1),
        (
            'What is the last letter of "{word}"?',
            'Which letter does "{word}" end with?',
        ),
    ),
    "days-after": Family(
        "calendar",
        _day(1),
        (
            "Which day of the week is {n} days after {day}?",
            "Today is {day}. What day will it be in {n} days?",
        ),
    ),
    "days-before": Family(
        "calendar",
        _day(-1),
        (
            "Which day of the week is {n} days before {day}?",
            "Today is {day}. What day was it {n} days ago?",
        ),
    ),
    "months-after": Family(
        "calendar",
        _month,
        (
            "Which month is {n} months after {month}?",
            "It is {month} now. What month will it be in {n} months?",
        ),
    ),
    "clock": Family(
        "clock",
        _clock,
        (
            "It is {time} now. What time will it be in {n} minutes?",
            "A film starts at {time} and lasts {n} minutes. When does it end?",
            "What time is {n} minutes after {time}?",
        ),
    ),
    "units": Family(
        "units",
        _converted,
        (
            "How many {small} are {n} {large}?",
            "Convert {n} {large} to {small}.",
            "{n} {large} make how many {small}?",
        ),
    ),
    "which-kind": Family(
        "kinds",
        _member,
        (
            "Which of these is {kind}: {x}?",
            "One of these is {kind}: {x}. Which one?",
        ),
    ),
}
