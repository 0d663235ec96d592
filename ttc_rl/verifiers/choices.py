r"""Multiple choice, any number of options: a letter or an option's text, from a box or "answer is".

A letter counts only where it stands as an answer: "the answer is a bit subtle" chooses nothing, nor
does "A or B", and words after the box or after the letter change nothing. Beyond Z the labels go on
with AA, AB, which count in a box only. Not covered: tasks with several right options.
"""

from __future__ import annotations

import random
import re
import string
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from ttc_rl.config.marks import stated
from ttc_rl.schema import Task, Verdict
from ttc_rl.verifiers.boxes import after_reasoning, last_boxed
from ttc_rl.verifiers.expressions import UnreadError, parse
from ttc_rl.verifiers.kind import Kind
from ttc_rl.verifiers.latex import squeezed, tidy, unwrapped
from ttc_rl.verifiers.quantities import quantity
from ttc_rl.verifiers.rationals import value

# Fillers between the word and the letter: "is therefore option (c)", "is, I think, B".
_FILLER = (
    r"(?:\s|[*_`\"'$:,{}]|\\[(\[]|\\,"
    r"|\b(?:therefore|thus|hence|clearly|definitely|likely|most|probably|simply|indeed|option|choice"
    r"|letter|the|is|I (?:think|believe|guess)|of course|Option|Choice)\b)*"
)
_FIRM = re.compile(
    r"(?:<answer>|\b(?:answer|option|choice)\b"
    rf"(?:[^\n.:=(]{{0,60}}?\b(?:is|are)\b|[*_\s]*[:=]|[*_]*\s*\n)){_FILLER}",
    re.IGNORECASE,
)
"""Says what the answer is."""
_LOOSE = re.compile(
    r"\b(?:answer|it must be|must be|(?:would|should) be"
    rf"|I(?:'d| would)? (?:choose|pick|select|go with))\b{_FILLER}",
    re.IGNORECASE,
)
"""Says so too, where nothing says it firmly."""
_TURNED = re.compile(
    r"(?:(?P<round>[(\[][A-Za-z][)\]])|(?<![A-Za-z'])(?P<bare>[A-Z]))[*_]*\s+is\s+(?:clearly )?"
    r"(?:the\s+)?(?:correct|right|best)(?:\s+(?:answer|option|choice|one))?\b(?!\s*\?)",
)
"""`B is the correct answer`."""
MAX_MARKERS = 50
"""Of the places where a completion says "answer", the last ones are looked at."""
MAX_SAID = 500
_REASON = (
    r"because|since|as|for|which|due|given|so|with|from|by|in|is|and this|and the|and it|and not"
    r"|that|corresponds"
)
_LABELLED = re.compile(
    r"(?:[(\[{]\s*(?P<round>[A-Za-z])\s*[)\]}]|(?P<bare>[A-Z])(?![A-Za-z]|'[A-Za-z])"
    r"|(?P<small>[a-z])(?=[\s*.)]*(?:\n|\Z)))(?P<rest>.*)",
    re.DOTALL,
)
_ENDS = re.compile(rf"[*_`$\"')\]}}\s]*(?:\Z|[.,;:!?\n<\\]|-|\s(?:{_REASON})\b)", re.IGNORECASE)
_SECOND = re.compile(
    r"[)\]}*\s]*(?:,|;|/|&|\bor\b|\band\b|,\s*(?:or|and)\b)[\s*]*(?:maybe |possibly |option )?"
    r"(?:[(\[][A-Za-z][)\]]|[B-HJ-Z](?![A-Za-z'])|[AI](?=\s*(?:[).,;/&*]|\Z|\n|or\b|and\b)))",
    re.IGNORECASE,
)
"""A second letter behind the first one: `A, B`, `(A) or (B)`."""
# Options that speak of others by their place: such a task keeps its order.
_PLACED = re.compile(
    r"\b(?:above|below|following|preceding|all of (?:these|them)|none of (?:these|them))\b"
    r"|\b[A-J] (?:and|or|&) [A-J]\b|\b(?:both|neither|either|only) \(?[A-J]\b",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\(?([A-Za-z])(?:\)|[.:])?(?:\s+(.+))?", re.DOTALL)


def verify(task: Task, completion: str) -> Verdict:
    options = task.meta.get("options")
    texts = [str(option) for option in options] if isinstance(options, list) else []
    answer = read_answer(completion, texts)
    if answer is None:
        return Verdict(False, None, "no option was chosen in a box or after 'answer'", "no_answer")
    gold = _read_option(task.gold or "", texts)
    if gold is None:
        return Verdict(None, answer, f"gold unreadable: {task.gold!r} of {len(texts)} options")
    return Verdict(answer == gold or _same_text(answer, gold, texts), answer)


def shuffle_options(task: Task, seed: int) -> Task:
    """Return the task with its options in another order, gold and prompt following; ids differ.

    The order depends on `seed` and the task alone. A task with an option such as "none of the
    above" stays as it is. Raises ValueError without `meta.options` or a gold among them.
    """
    options = [str(option) for option in task.meta.get("options") or ()]
    gold = _read_option(task.gold or "", options)
    if not options or gold is None:
        raise ValueError(f"{task.id}: needs meta.options and a gold among them to be shuffled")
    if any(_PLACED.search(option) for option in options):
        return task
    order = list(range(len(options)))
    random.Random(f"{seed} {task.id}").shuffle(order)
    shuffled = [options[i] for i in order]
    return replace(
        task,
        prompt=_prompt_head(task, options) + _listed(shuffled),
        gold=label(order.index(_labels(options).index(gold))),
        meta={**task.meta, "options": shuffled, "shuffled_from": task.id},
        id="",
    )


def label(index: int) -> str:
    """Return A, B, ... Z, AA, AB, ..."""
    high, low = divmod(index, 26)
    return (label(high - 1) if high else "") + string.ascii_uppercase[low]


def _labels(options: Sequence[str]) -> list[str]:
    return [label(i) for i in range(len(options) or 26)]


def _listed(options: Sequence[str]) -> str:
    return "\n".join(f"{label(i)}. {option}" for i, option in enumerate(options))


def _prompt_head(task: Task, options: Sequence[str]) -> str:
    """Return the prompt without its options: cut off where they end it, else the question
    itself."""
    if task.prompt.endswith(_listed(options)):
        return task.prompt.removesuffix(_listed(options))
    question = task.meta.get("question")
    if not isinstance(question, str):
        raise ValueError(
            f"{task.id}: the prompt does not end with its options; needs meta.question"
        )
    return f"{question}\n\n"


def _same_text(answer: str, gold: str, options: list[str]) -> bool:
    """Return whether two labels stand for the same words, as happens in real data."""
    text_of = dict(zip(_labels(options), options, strict=False))
    return gold in text_of and squeezed(text_of[gold]) == squeezed(text_of.get(answer, ""))


def read_answer(completion: str, options: list[str]) -> str | None:
    """Return the letter chosen. A box counts before words; of several the last.

    After a box that holds no option (the value that was worked out), words that follow it count.
    Two letters where one was asked for choose nothing.
    """
    tail = after_reasoning(completion)
    if tail is None:
        return None
    boxed = last_boxed(tail)
    if boxed is not None:
        chosen = _read_option(boxed, options)
        if chosen is not None:
            return chosen
        tail = tail[max(tail.rfind(r"\boxed"), tail.rfind(r"\fbox")) :]
    tail = _plain(tail)
    for reader in (_read_firmly, _read_loosely):
        hedged, chosen = reader(tail, options)
        if chosen or hedged:
            return chosen
    return None if boxed is not None else _read_alone(tail, options)


Reading = tuple[bool, str | None]
"""Whether two letters were given or one in brackets that is no option, and the option."""


def _plain(text: str) -> str:
    """Return a text without the dressing of TeX and special tokens around letters."""
    text = re.sub("[\u2018\u2019]", "'", re.sub("[\u201c\u201d]", '"', text))
    text = re.sub("[\u2013\u2014]", " - ", text)
    text = re.sub(r"</s>|<\|[^<>|\s]{1,40}\|>|<(?:eos|end_of_turn|eot_id)>", " ", text)
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf|boldsymbol|mbox)\s*(?=\{)", "", text)
    return (
        re.sub(r"\{\s*(\(?[A-Za-z]\)?)\s*\}", r" (\1) ", text).replace("((", "(").replace("))", ")")
    )


def _read_firmly(tail: str, options: list[str]) -> Reading:
    markers = [(m.end(), None) for m in deque(_FIRM.finditer(tail), maxlen=MAX_MARKERS)]
    turned = [
        (m.end(), (m["round"] or m["bare"]).strip("()[]"))
        for m in deque(_TURNED.finditer(tail), maxlen=MAX_MARKERS)
    ]
    for end, letter in sorted([*markers, *turned], key=lambda marker: marker[0], reverse=True):
        if letter is not None:
            return False, _known(letter, options)
        hedged, chosen = _read_said(tail[end : end + MAX_SAID], options)
        if hedged or chosen:
            return hedged, chosen
    return False, None


def _read_loosely(tail: str, options: list[str]) -> Reading:
    for marker in reversed(deque(_LOOSE.finditer(tail), maxlen=MAX_MARKERS)):
        hedged, chosen = _read_said(tail[marker.end() : marker.end() + MAX_SAID], options)
        if hedged or chosen:
            return hedged, chosen
    return False, None


def _read_said(spoken: str, options: list[str]) -> Reading:
    """Read what follows a marker: a letter as an answer, or an option's words."""
    match = _LABELLED.match(spoken)
    if match:
        letter, rest = match["round"] or match["bare"] or match["small"], match["rest"]
        closed = match["round"] is not None
        if _SECOND.match(rest):
            return True, None
        line = rest.partition("\n")[0].strip(" .*")
        if closed or _ENDS.match(rest) or (line and _by_text(line, options) == letter.upper()):
            chosen = _known(letter, options)
            return closed and chosen is None, chosen
    line = re.split(r"\n|</", spoken, maxsplit=1)[0].strip()
    for text in (
        line,
        re.split(r"\.\s|,\s|;|\s(?:because|since)\s|\s-\s", line, maxsplit=1)[0],
    ):
        chosen = _by_text(text.strip().rstrip("*. "), options)
        if chosen:
            return False, chosen
    return False, None


_ALONE = re.compile(r"(?:option|choice)?\s*(?:\(([A-Za-z])\)|([A-Z]))[.):]?", re.IGNORECASE)


def _read_alone(tail: str, options: list[str]) -> str | None:
    """Read a whole reply, its last or its first line, that is a letter or an option's words
    alone."""
    lines = [line.strip().strip("*_`$ ").strip() for line in tail.strip().split("\n")]
    for line in dict.fromkeys([lines[-1], lines[0]]):
        match = _ALONE.fullmatch(line)
        if match and (match[1] or match[2].isupper()):
            return _known(match[1] or match[2], options)
        chosen = _read_option(line, options) if options and len(line) > 1 else None
        if chosen:
            return chosen
    return None


def _read_option(text: str, options: list[str]) -> str | None:
    r"""Return the letter that `C`, `(c)`, `\text{Option C}`, `C. Paris` or `Paris` stands for, or
    None."""
    words = unwrapped(text)
    plain = tidy(words).strip("*$ ").rstrip(".")
    plain = re.sub(r"^(?:option|choice|answer)\s+(?=\(?[A-Za-z]\b)", "", plain, flags=re.IGNORECASE)
    bare = plain.strip("()").upper()
    if len(bare) > 1 and bare in _labels(options):
        return bare
    match = _LABEL.fullmatch(plain)
    if match and (match[2] is None or not options):
        return _known(match[1], options) or _by_text(words, options)
    if match and _by_text(match[2], options) == match[1].upper():
        return match[1].upper()
    return _by_text(words, options) or _by_value(text, options)


def _known(letter: str, options: list[str]) -> str | None:
    return letter.upper() if letter.upper() in _labels(options) else None


def _by_text(text: str, options: list[str]) -> str | None:
    """Return the option with this very text; None where there is none, or more than one.

    Letter case counts only where it tells options apart: `BB Bb` is not `Bb Bb`. An article in
    front counts only where it tells options apart too.
    """
    keys = [_text_key(option) for option in options]
    for text_key, option_keys in (
        (_text_key(text), keys),
        (_bare_key(text), [*map(_bare_key, options)]),
    ):
        hits = [i for i, key in enumerate(option_keys) if key == text_key]
        hits = hits or [
            i for i, key in enumerate(option_keys) if key.casefold() == text_key.casefold()
        ]
        if hits and text_key:
            return label(hits[0]) if len(hits) == 1 else None
    return None


def _bare_key(text: str) -> str:
    """Return a text without an article in front."""
    return _text_key(re.sub(r"^\s*(?:the|an?)\s+", "", unwrapped(text), flags=re.IGNORECASE))


def _by_value(text: str, options: list[str]) -> str | None:
    """Return the only option with this value: `0.5` for `1/2`; a unit is a part of it."""
    number = _value(text)
    hits = [i for i, option in enumerate(options) if number and _value(option) == number]
    return label(hits[0]) if len(hits) == 1 else None


def _value(text: str) -> tuple[object, str] | None:
    plain = tidy(text)
    if len(plain) > MAX_SAID:
        return None
    measure = quantity(plain)
    number: object = value(measure.number if measure else plain)
    if number is None:
        try:
            number = parse(measure.number if measure else plain)
        except UnreadError:
            return None
    return number, str(measure.unit) if measure else ""


def _text_key(text: str) -> str:
    """Return a text without white space, dollars or a full stop, which do not make texts
    different."""
    return squeezed(text.replace("\\$", "").strip("*$ ").rstrip("."))


# --------------------------------------------------------------------------- the kind


def _read(task: Task, completion: str) -> str | None:
    return read_answer(completion, [str(option) for option in task.meta.get("options", [])])


def _restated(task: Task, other: Task) -> str | None:
    """Return the option's text: letters say nothing in another task."""
    options = task.meta.get("options")
    place = ord((task.gold or "").strip()[:1].upper() or "@") - ord("A")
    if not isinstance(options, list) or not 0 <= place < len(options):
        return None
    return str(options[place])


def _differ(task: Task, gold: str, other: str) -> bool:
    """Compare the words that two letters stand for: real data has options with the same words."""
    options = dict(zip(map(label, range(1000)), task.meta.get("options") or (), strict=False))
    words = [squeezed(str(options.get(letter, letter))) for letter in (gold, other)]
    return words[0] != words[1]


KIND = Kind(
    "choice",
    verify=verify,
    template="{prompt}\n\nThink it through step by step, then give the letter of the right option, "
    "and nothing else, within \\boxed{}.",
    read=_read,
    reply=lambda task, answer: stated(answer, "boxed"),
    restated=_restated,
    differ=_differ,
    retention="math500@100",
)
