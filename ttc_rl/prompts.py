"""What the policy reads: the problem, and how to give the answer so that it can be graded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ttc_rl.schema import Task, UserError

PLACE = "{prompt}"

TEMPLATES: Mapping[str, str] = {
    "math": PLACE
    + "\n\nThink it through step by step, then give the final answer within \\boxed{}.",
    "choice": PLACE
    + "\n\nThink it through step by step, then give the letter of the right option, and nothing "
    "else, within \\boxed{}.",
    "exact": PLACE + '\n\nEnd with "Answer:" followed by the answer alone.',
    "code": PLACE
    + "\n\nWork out an approach first. Then give the complete program, once, in one fenced block "
    "that begins with ```python.",
    "judge": PLACE + "\n\nThink it through step by step, then state the final answer clearly.",
}
"""By kind of task. A recipe's `prompts:` replaces single ones."""
AFTER = "after"
"""Key of a recipe's `prompts:` that is no kind: what stands after every prompt."""


def render(task: Task, templates: Mapping[str, str]) -> str:
    """The task's prompt put in place of `{prompt}`; braces anywhere else are left as they are.

    `templates` goes before ours, and its `after` behind every prompt; a kind that neither has (a
    plug-in's) is shown as it is. Where a benchmark adds its own wording (MBPP's first test),
    `meta.shown` is put there instead.
    """
    template = templates.get(task.kind, TEMPLATES.get(task.kind, PLACE))
    if PLACE not in template:
        raise UserError(
            f"prompts.{task.kind}: the template has no {PLACE}, so no task would be shown"
        )
    shown = template.replace(PLACE, str(task.meta.get("shown") or task.prompt))
    return shown + templates.get(AFTER, "")


def as_messages(text: str) -> list[dict[str, str]]:
    """One user turn, as chat templates take it."""
    return [{"role": "user", "content": text}]


def prompt_text(task: Task, templates: Mapping[str, str], tokenizer: Any) -> str:
    """What the model reads: through the tokenizer's chat template, where it has one."""
    text = render(task, templates)
    if tokenizer.chat_template is None:
        return text
    return tokenizer.apply_chat_template(
        as_messages(text), tokenize=False, add_generation_prompt=True
    )
