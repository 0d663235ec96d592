"""Rows made for trainers: conversations, and what their verifier is given.

A conversation's last user turn is the task. A system turn goes into `meta.system`, the turns
between into `meta.turns`; the model reads them before the task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ttc_rl.corpus.shapes.fields import Row, code_row, entered, math_row, present
from ttc_rl.corpus.shapes.programs import called_or_piped, paired_tests, typed_test
from ttc_rl.corpus.templates import is_number
from ttc_rl.verifiers.boxes import last_boxed

_FORM = (
    r"\A\s*Solve the following math problem step by step\. The last line of your response should "
    r"be of the form Answer: \$Answer \(without quotes\) where \$Answer is the answer to the "
    r"problem\.\s*",
    r'\s*Remember to put your answer on its own line after "Answer:"\.?\s*\Z',
    r"\s*Let's think step by step and output the final answer "
    r'(?:after "####"|(?:with)?in \\+boxed\{\})\.?\s*\Z',
    r"\s*Please reason step by step,? and put your final answer within \\+boxed\{\}\.?\s*\Z",
)
_ASKS_FOR_A_FORM = re.compile("|".join(_FORM))
"""What verl's recipes, DAPO and model cards add to a prompt: the tool asks for its own form."""
_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant"}
_GOLDS = ("answer", "ground_truth", "gold", "solution", "label", "target")


class Conversation(NamedTuple):
    """A conversation in its parts."""

    system: str
    turns: list[dict[str, str]]
    """Between the system turn and the task."""
    prompt: str
    reply: str | None
    """What an assistant answered to it."""


def conversation(messages: Sequence[Row]) -> Conversation:
    """Take a list of `role` and `content` apart, or of ShareGPT's `from` and `value`.

    Raises ValueError where it holds no user turn, or something other than text.
    """
    turns = [_turn(message) for message in messages]
    reply = turns.pop()["content"] if turns and turns[-1]["role"] == "assistant" else None
    system = turns.pop(0)["content"] if turns and turns[0]["role"] == "system" else ""
    if not turns or turns[-1]["role"] != "user":
        raise ValueError("the conversation has no user turn to answer")
    return Conversation(system, turns[:-1], turns[-1]["content"], reply)


def _turn(message: Row) -> dict[str, str]:
    role = str(message["role"] if "role" in message else message["from"])
    content = message["content"] if "content" in message else message["value"]
    if isinstance(content, list):
        if any(not isinstance(part, Mapping) or part.get("type") != "text" for part in content):
            raise ValueError("the conversation holds something other than text")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise ValueError("the conversation holds a turn without text")
    return {"role": _ROLES.get(role, role), "content": content}


def verl(row: Row) -> Row:
    """Convert verl, DAPO, PRIME: `prompt` as messages or text, the gold in
    `reward_model.ground_truth`."""
    gold = row["reward_model"]["ground_truth"]
    about = row.get("extra_info") or {}
    parts = [row.get("data_source"), about.get("split"), about.get("index")]
    name = "/".join(str(part) for part in parts if part is not None) if about else None
    asked = _asked(row["prompt"])
    meta = {"data_source": row.get("data_source"), "system": asked.system, "turns": asked.turns}
    value = json.loads(gold) if isinstance(gold, str) and gold.lstrip().startswith("{") else gold
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping) and {"inputs", "outputs"} <= value.keys():
        return code_row(name or "", asked.prompt, paired_tests(value), **meta)
    if isinstance(value, Mapping | list):
        raise ValueError(
            "reward_model.ground_truth is no answer but an object: give `columns` and a kind of "
            "your own (`verifiers:`)"
        )
    return _answered(name, asked, value, str(row.get("ability") or "math"), **meta)


def chat(row: Row) -> Row:
    """Convert TRL's conversational rows, ShareGPT: messages, and a column with the gold.

    Without such a column the assistant's last turn is what a judge compares with.
    """
    asked = conversation(row[next(name for name in _MESSAGES if isinstance(row.get(name), list))])
    asked = asked._replace(prompt=_without_form(asked.prompt))
    meta = {"system": asked.system, "turns": asked.turns}
    named = next((row[name] for name in _GOLDS if row.get(name) not in (None, "", [])), None)
    if named is not None:
        boxed = last_boxed(named) if isinstance(named, str) else None
        return _answered(row.get("id"), asked, named if boxed is None else boxed, "", **meta)
    reply = asked.reply
    for column in ("completion", "chosen"):
        if reply is None and row.get(column):
            given = row[column]
            reply = given if isinstance(given, str) else _turn(given[-1])["content"]
    if not reply:
        raise ValueError(f"nothing to grade against: none of {', '.join(_GOLDS)}, and no reply")
    return _judged(row.get("id"), asked.prompt, reply, **meta)


_MESSAGES = ("prompt", "messages", "conversations")


def instruct(row: Row) -> Row:
    """Convert Alpaca, Dolly, prompt and response: what a judge compares with is the reference
    reply."""
    prompt = str(row[next(name for name in INSTRUCTIONS if name in row)])
    context = str(row.get("input") or row.get("context") or "").strip()
    reply = row[next(name for name in REPLIES if name in row)]
    return _judged(row.get("id"), f"{prompt}\n\n{context}" if context else prompt, str(reply))


INSTRUCTIONS = ("instruction", "prompt", "question")
REPLIES = ("output", "response", "completion")


def synthetic(row: Row) -> Row:
    """Convert SYNTHETIC-1, SYNTHETIC-2, INTELLECT-2: JSON text in `verification_info`, by
    `task_type`."""
    info = entered(row["verification_info"])
    if not isinstance(info, Mapping):
        raise ValueError("verification_info holds no object")
    prompt, name = _without_form(row["prompt"]), row.get("problem_id")
    meta = {"task_type": row.get("task_type"), "data_source": row.get("source")}
    cases = info.get("test_cases")
    if cases is not None:
        tests = [typed_test(test) for test in entered(cases)]
        return code_row(name or "", row["prompt"], tests, **meta)
    gold = info.get("ground_truth", info.get("answer", info.get("output")))
    if gold in (None, ""):
        raise ValueError(f"task_type {row.get('task_type')}: no ground_truth, and no test_cases")
    if "judge" in str(row.get("task_type")):
        return _judged(name, row["prompt"], str(gold), **meta)
    asked = Conversation("", [], prompt, None)
    ability = "math" if "math" in str(row.get("task_type")) else ""
    return _answered(name, asked, gold, ability, **meta)


def verifiable_corpus(row: Row) -> Row:
    """Convert lasgroup/verifiable-corpus: `problem` is trained on, `description` is what is
    embedded."""
    meta = {"embedded": row["description"], "data_source": row["dataset"]}
    if row["kind"] == "code":
        return code_row("", row["problem"], [_lettered(t) for t in entered(row["tests"])], **meta)
    if row["kind"] == "verifier":
        return _judged(None, row["problem"], str(row["answer"]), **meta)
    return math_row(None, row["problem"], row["answer"], **meta)


def _lettered(test: Row) -> Row:
    kind = test.get("testtype", test.get("type", "stdin"))
    if kind == "code":
        return {"type": "script", "code": test["input"]}
    function = test.get("fn_name") or test.get("func_name") or test.get("entry_point")
    return called_or_piped(
        function if kind == "functional" else None, test["input"], test["output"]
    )


def curriculum(row: Row) -> Row:
    """Convert curriculum.jsonl of a run folder: a task that was chosen."""
    return row["task"]


# --------------------------------------------------------------------------- parts


def _asked(prompt: Any) -> Conversation:
    asked = Conversation("", [], prompt, None) if isinstance(prompt, str) else conversation(prompt)
    return asked._replace(prompt=_without_form(asked.prompt))


def _without_form(text: str) -> str:
    return _ASKS_FOR_A_FORM.sub("", text)


def _answered(name: Any, asked: Conversation, gold: Any, ability: str, **meta: Any) -> Row:
    """Return a maths row where the ability or the gold says so, else one of kind exact."""
    maths = ability.lower().startswith("math") or is_number(gold)
    row = math_row(name, asked.prompt, gold, **meta)
    return row if maths else {**row, "kind": "exact"}


def _judged(name: Any, prompt: str, reply: str, **meta: Any) -> Row:
    row = {"kind": "judge", "prompt": prompt, "answer": reply, "meta": present(**meta)}
    return row if name is None else row | {"id": str(name)}
