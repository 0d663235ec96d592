"""What the policy reads, and where it stops: prompts, end tokens, the room in the context."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ttc_rl.config.marks import KEY
from ttc_rl.config.prompts import PLACE
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers.kinds import KINDS

Turn = dict[str, str]
"""`role` and `content`, as chat templates take them."""


def render(task: Task, templates: Mapping[str, Any]) -> str:
    """Return the template with the task's prompt in place of `{prompt}`. Other braces stay as they
    are.

    `templates` goes before the kind's own, and its `after` behind every prompt. A task whose kind
    has no template (a plug-in's) is shown as it is. Where a benchmark adds its own wording (MBPP's
    first test), `meta.shown` takes the prompt's place.
    """
    kind = KINDS.get(task.kind)
    template = templates.get(task.kind, kind.template_of(task) if kind else PLACE)
    if PLACE not in template:
        raise UserError(
            f"prompts.{task.kind}: the template has no {PLACE}, so no task would be shown"
        )
    prompt = template.replace(PLACE, str(task.meta.get("shown") or task.prompt))
    return prompt + templates.get("after", "")


def as_messages(text: str) -> list[Turn]:
    """Return one user turn, as chat templates take it."""
    return [{"role": "user", "content": text}]


def _user(task: Task, templates: Mapping[str, Any]) -> list[Turn]:
    return as_messages(render(task, templates))


def _system(text: Any) -> list[Turn]:
    return [{"role": "system", "content": str(text)}] if text else []


def _examples(task: Task, templates: Mapping[str, Any]) -> Iterator[Turn]:
    for example in templates.get("examples", ()):
        if example.get("kind") in (None, task.kind):
            meta = {KEY: task.meta[KEY]} if KEY in task.meta else {}
            yield from _user(replace(task, prompt=example["prompt"], meta=meta, id=""), templates)
            yield {"role": "assistant", "content": example["reply"]}


def conversation(task: Task, templates: Mapping[str, Any]) -> list[Turn]:
    """Return the task as a user turn, behind the recipe's system turn and examples and the turns
    that the task brings along; its own system turn goes before the recipe's."""
    turns = [*_examples(task, templates), *task.meta.get("turns", ())]
    return [
        *_system(task.meta.get("system") or templates.get("system")),
        *turns,
        *_user(task, templates),
    ]


def without_roles(turns: Sequence[Mapping[str, str]]) -> str:
    """Return a conversation as a model without a chat template reads it: a paragraph each."""
    return "\n\n".join(turn["content"] for turn in turns)


def chat_turns(
    turns: Sequence[Turn], tokenizer: Any, arguments: Mapping[str, Any] | None = None
) -> list[Turn]:
    """Return the turns as the chat template takes them.

    A template that demands a system turn gets an empty one. Where it refuses or leaves out a system
    turn, that stands at the head of the first user turn. Raises UserError where the template takes
    neither.
    """
    from jinja2 import TemplateError

    refused = ""
    for fitted in (turns, _with_system(turns)):
        try:
            text = tokenizer.apply_chat_template(
                fitted, tokenize=False, add_generation_prompt=True, **(arguments or {})
            )
        except TemplateError as error:
            refused = refused or str(error)
            continue
        if fitted[0]["role"] != "system" or fitted[0]["content"].strip() in text:
            return list(fitted)
        refused = refused or "it leaves the system turn out"
    raise UserError(
        f"{tokenizer.name_or_path}: its chat template does not take these turns "
        f"({', '.join(turn['role'] for turn in turns)}), with a system turn or without: {refused}"
    )


def _with_system(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns with an empty system turn, or with theirs folded into the next turn."""
    if turns[0]["role"] != "system":
        return [{"role": "system", "content": ""}, *turns]
    system, first, *others = turns
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *others]


def prompt_text(task: Task, templates: Mapping[str, Any], tokenizer: Any) -> str:
    """Return what the model reads: through the tokenizer's chat template, where there is one."""
    turns = conversation(task, templates)
    if tokenizer.chat_template is None:
        return without_roles(turns)
    arguments = templates.get("template", {})
    return tokenizer.apply_chat_template(
        chat_turns(turns, tokenizer, arguments),
        tokenize=False,
        add_generation_prompt=True,
        **arguments,
    )


def prompt_ids(task: Task, templates: Mapping[str, Any], tokenizer: Any) -> list[int]:
    """Return the token ids of what the model reads.

    A chat template has written the special tokens already: no second BOS.
    """
    text = prompt_text(task, templates, tokenizer)
    return tokenizer(text, add_special_tokens=tokenizer.chat_template is None)["input_ids"]


def end_ids(generation_config: Any, tokenizer: Any) -> frozenset[int]:
    """Return every token that ends a completion: those of the model's generation config, which
    names none, one or several, and the tokenizer's own."""
    ids = generation_config.eos_token_id
    ids = ids if isinstance(ids, list) else [ids]
    return frozenset(i for i in [*ids, tokenizer.eos_token_id] if i is not None)


def context_length(config: Any) -> int | None:
    """Return the most tokens of prompt and completion, None where the model's config sets no limit.

    A sliding window is no limit. A model with an image encoder keeps its text model's config inside
    its own; GPT-2's `n_positions` goes by the same name.
    """
    return getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)


def read_completion(ids: Sequence[int], ends: Collection[int], tokenizer: Any) -> tuple[str, bool]:
    """Return what a completion says before its first end token, and whether it has one."""
    length = next((i for i, token in enumerate(ids) if token in ends), None)
    return tokenizer.decode(ids[:length], skip_special_tokens=True), length is not None
