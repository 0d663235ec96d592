"""Completions that hold the gold although the verifier did not read it, for a person to look at.

A warning, never a verdict: a model that lists guesses, or says what the answer is not, has the gold
in its text too. After matharena's warning icons. On 5,276 published GSM8K solutions without a box
(openai/grade-school-math, example_model_solutions) it points at 2,000 of the 2,001 right ones and
at 42 of the 3,275 wrong ones.
"""

from __future__ import annotations

import re

from ttc_rl.schema import Task
from ttc_rl.verifiers import BUILT_IN, Graders
from ttc_rl.verifiers.boxes import boxes
from ttc_rl.verifiers.exact import key

LAST_PART = 200
"""Characters at the end of a completion in which a gold is looked for."""
SHORT = 2
"""Letters and digits up to which a gold is likely to stand anywhere by accident."""


def gold_not_read(
    task: Task, completion: str, answer: str | None, graders: Graders = BUILT_IN
) -> bool:
    r"""Return whether the gold is the content of any box, or is in the last 200 characters.

    Where the verifier read an answer, only after it: a gold inside what was read, or given up
    before it, was not overlooked.

    A short gold, `7` or `B`, must be all that the last line says after "answer", "is", one of
    `=:#`, or nothing: any longer text holds it somewhere.
    """
    gold = (task.gold or "").strip()
    if not gold or graders.kind_of(task).reply is None:
        return False
    if any(key(box) == key(gold) for box in boxes(completion)):
        return True
    alone = rf"(?<![\w.,/^-]){re.escape(gold)}(?![\w/^]|[.,]\d)"
    tail = completion.rpartition(answer)[2] if answer else completion
    if len(re.sub(r"\W", "", gold)) > SHORT:
        return re.search(alone, tail[-LAST_PART:]) is not None
    last = tail.rstrip()[-LAST_PART:].rpartition("\n")[2]
    stated = rf"(?:^|\banswer\b\W*(?:is\b)?|\bis\b|[=:#])[\s$*:(\\]*{alone}[\s$*.)\\]*$"
    return re.search(stated, last, re.IGNORECASE) is not None
