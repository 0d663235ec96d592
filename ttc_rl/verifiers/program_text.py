r"""Which part of a completion is the program.

After the reasoning, of the fenced blocks marked python, py or python3 the last one counts, or
where a function or class is asked for, the last one that defines it. Without a marked block the
unmarked ones are looked at in the same way, if they look like code; without any block the whole
text, if it does. A last block that was never closed counts to the end. Other languages never do.
Where the prompt itself is code (HumanEval), the program goes on from it.

Texts are matched, never parsed: the parser of this process is not for what a model wrote.
Not covered: a program spread over several blocks.
"""

from __future__ import annotations

import re
import textwrap

from ttc_rl.schema import Task
from ttc_rl.verifiers.boxes import after_reasoning

_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[ \t]*([^\n`]*)$")
_OPENED_LATE = re.compile(r"^[^\n`]*[:.\s](`{3,})[ \t]*((?:python|py)3?)[ \t]*$", re.IGNORECASE)
_CLOSED_LATE = re.compile(r"^([^\n`]*[^\s`][^\n`]*?)[ \t]*`{3,}[ \t]*$")
_PYTHON = re.compile(r"\{?\.?(?:python|py)(?:3(?:\.\d+)?)?(?![\w+#])", re.IGNORECASE)
_TOKENS = re.compile(r"<\|[^<>|\s]{1,40}\|>|</s>|<(?:eos|end_of_turn|eot_id)>|\ufeff")
_TAGS = re.compile(r"</?answer>|\[(?:BEGIN|DONE)\]")
_TAGGED = re.compile(r"<answer>(.*?)(?:</answer>|\Z)|\[BEGIN\](.*?)(?:\[DONE\]|\Z)", re.DOTALL)
_QUOTE = re.compile(r"^[ \t]*>[ ]?")
_PROSE = re.compile(r"\n[ \t]*\n(?=[A-Z][a-z']*(?:[ ,][^\n=()\[\]{}]*)?[.:!?]?[ \t]*(?:\n|\Z))")
_CODE = re.compile(
    r"^(?:import\s+\w|from\s+[\w.]+\s+import\b|(?:async\s+)?def\s+\w+|class\s+\w+\s*[:(]|@\w"
    r"|(?:for|while|if|with|try)\b[^\n]*:|print\s*\(|\w+\("
    r"|[A-Za-z_][\w.\[\], ]*[-+*/|&]?=(?!=))",
    re.MULTILINE,
)


def read_program(task: Task, completion: str) -> str | None:
    """Return the program to run, with the prompt's own code before it; None where there is none."""
    tail = after_reasoning(completion)
    if tail is None:
        return None
    name, opening, tail = wanted_name(task), _code_of_prompt(task), _TOKENS.sub("", tail)
    if "```" in tail:
        tail = _TAGS.sub("\n", tail)
    marked, unmarked = _blocks(tail)
    code = _last(marked, name) or _last([b for b in unmarked if _looks_like_code(b)], name)
    if code is None and not marked and not unmarked:
        bare = _bare(tail)
        code = bare if _looks_like_code(bare) or (opening and bare.strip()) else None
    return None if code is None else _go_on(opening, name, code)


def wanted_name(task: Task) -> str | None:
    """Return the function or class that the tests call, as far as the task says."""
    for test in task.tests:
        if test.get("type") == "functional":
            return None if task.meta.get("starter_code") else str(test.get("fn_name"))
    entry = next((str(t["entry_point"]) for t in task.tests if t.get("entry_point")), None)
    entry = entry or task.meta.get("entry_point")
    return re.split(r"\W", str(entry))[0] if entry else None


def import_lines(source: str) -> str:
    return "\n".join(re.findall(r"^(?:import|from)\s.*$", source, re.MULTILINE))


def _code_of_prompt(task: Task) -> str:
    """Return the prompt, where it is code that ends within the function asked for."""
    name = wanted_name(task)
    if not name or "```" in task.prompt or not any(t.get("type") == "check" for t in task.tests):
        return ""
    return task.prompt if _defines(task.prompt, name) else ""


def _go_on(opening: str, name: str | None, code: str) -> str:
    """Continue the prompt, or replace its function: what stands before it is needed by both."""
    if not opening:
        return code
    opening = opening if opening.endswith("\n") else opening + "\n"
    if name and _defines(code, name):
        return opening + "    pass\n\n" + code
    body = code.lstrip("\n")
    return opening + (body if body[:1] in (" ", "\t") else textwrap.indent(body, "    "))


def _bare(text: str) -> str:
    """Return a text without blocks, up to the first paragraph of words behind code; of tags the
    last."""
    tagged = [match[1] or match[2] or "" for match in _TAGGED.finditer(text)]
    if tagged:
        text = tagged[-1]
    prose = next((m for m in _PROSE.finditer(text) if _looks_like_code(text[: m.start()])), None)
    prose = prose or next((m for m in _PROSE.finditer(text) if text[:1] in " \t"), None)
    return text[: prose.start()] + "\n" if prose else text


def _blocks(text: str) -> tuple[list[str], list[str]]:
    """Return the contents of the fenced blocks: those marked as Python, those not marked at all."""
    marked: list[str] = []
    unmarked: list[str] = []
    fence, mark, lines = "", "", []
    quoted = False
    for line in [*text.split("\n"), None]:
        match = _FENCE.match(line.rstrip("\r")) if line is not None else None
        if not fence:
            match = match or (_OPENED_LATE.match(line.rstrip("\r")) if line is not None else None)
            if match and line is not None:
                fence, mark, lines = match[1], match[2].strip(), []
                quoted = _QUOTE.match(line) is not None
            continue
        closes = match and match[1].startswith(fence) and not match[2].strip()
        if line is not None and not closes:
            line = _QUOTE.sub("", line) if quoted else line
            late = _CLOSED_LATE.match(line.rstrip("\r")) if _PYTHON.match(mark) else None
            lines.append(late[1] if late else line)
            if not late:
                continue
        content = textwrap.dedent("\n".join(lines)) + "\n"
        if _PYTHON.match(mark):
            marked.append(content)
        elif not mark:
            unmarked.append(content)
        fence = ""
    return marked, unmarked


def _last(blocks: list[str], name: str | None) -> str | None:
    blocks = [block for block in blocks if _STATEMENT.search(block)]
    defining = [block for block in blocks if name and _defines(block, name)]
    return (defining or blocks or [None])[-1]


_STATEMENT = re.compile(r"^[ \t]*[^\s#]", re.MULTILINE)
"""A line that is more than a comment."""


def _defines(code: str, name: str) -> bool:
    word = re.escape(name)
    pattern = rf"^(?:(?:async\s+)?def\s+{word}\b|class\s+{word}\b|{word}\s*=)"
    return re.search(pattern, code, re.MULTILINE) is not None


def _looks_like_code(text: str) -> bool:
    return _CODE.search(text) is not None
