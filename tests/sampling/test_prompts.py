"""Prompts ask for answers in the form that the verifiers read."""

from pathlib import Path
from typing import Any

import pytest

from ttc_rl.config import EmbedConfig, Recipe
from ttc_rl.sampling.prompts import (
    as_messages,
    chat_turns,
    conversation,
    prompt_text,
    render,
    without_roles,
)
from ttc_rl.schema import Task, UserError


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("math", r"\boxed{}"),
        ("choice", r"\boxed{}"),
        ("exact", '"Answer:"'),
        ("code", "```python"),
        ("judge", "final answer"),
    ],
)
def test_each_kind_asks_for_what_is_graded(kind: str, asked: str):
    shown = render(Task(kind, "What is {x} in \\frac{1}{2}?"), {})
    assert shown.startswith("What is {x} in \\frac{1}{2}?\n\n")
    assert asked in shown.partition("?")[2]


def test_a_recipe_replaces_one_wording():
    templates = {"math": "Q: {prompt} \\boxed{}"}
    assert render(Task("math", "a {prompt} b {0}"), templates) == "Q: a {prompt} b {0} \\boxed{}"
    assert render(Task("exact", "a"), templates) == render(Task("exact", "a"), {})


def test_a_template_without_a_place_for_the_task_is_refused():
    with pytest.raises(UserError, match=r"prompts\.math: the template has no \{prompt\}"):
        render(Task("math", "a"), {"math": "Solve it."})


def test_a_kind_of_a_plug_in_is_shown_as_it_is():
    assert render(Task("echo", "say a"), {}) == "say a"


def test_a_prompt_is_one_user_turn():
    assert as_messages("hi") == [{"role": "user", "content": "hi"}]


def test_what_stands_after_every_prompt_is_no_kind_of_task():
    templates = {"after": " /no_think", "code": "{prompt}!"}
    assert render(Task("code", "sort"), templates) == "sort! /no_think"
    assert render(Task("math", "1+1"), templates) == render(Task("math", "1+1"), {}) + " /no_think"


PROMPTS = {
    "system": "Be brief.",
    "template": {"think": False},
    "examples": [
        {"prompt": "1 + 1?", "reply": r"\boxed{2}"},
        {"prompt": "Write pi.", "reply": "3.14", "kind": "exact"},
    ],
    "math": "Q: {prompt} \\boxed{}",
    "after": "!",
}
THINKS = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% if think is false %}<think></think>{% endif %}"
    "{% endif %}"
)
TASK = Task("math", "2 + 2?", "4")
READ = (
    "[system]Be brief.\n[user]Q: 1 + 1? \\boxed{}!\n[assistant]\\boxed{2}\n"
    "[user]Q: 2 + 2? \\boxed{}!\n[assistant]<think></think>"
)


class Chat:
    """A tokenizer as far as prompts go: a chat template, and one token a character."""

    name_or_path = "chat"

    def __init__(self, template: str | None = THINKS) -> None:
        self.chat_template = template

    def apply_chat_template(self, turns: Any, **options: Any) -> str:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def refuse(message: str) -> None:
            raise TemplateError(message)

        given = {key: value for key, value in options.items() if key != "tokenize"}
        template = ImmutableSandboxedEnvironment().from_string(str(self.chat_template))
        return template.render(messages=turns, raise_exception=refuse, **given)

    def __call__(self, text: Any, **_: Any) -> dict[str, Any]:
        many = [[ord(c) for c in one] for one in ([text] if isinstance(text, str) else text)]
        return {"input_ids": many[0] if isinstance(text, str) else many}


def recipe(prompts: dict[str, Any]) -> Recipe:
    return Recipe.model_validate({"model": "m", "corpus": "c", "target": "t", "prompts": prompts})


def test_system_turn_examples_and_template_arguments_stand_around_a_task():
    prompts = recipe(PROMPTS).prompts
    assert prompt_text(TASK, prompts, Chat()) == READ
    own = Task("math", "2 + 2?", "4", meta={"system": "Be long."})
    assert prompt_text(own, prompts, Chat()).startswith("[system]Be long.\n[user]Q: 1 + 1?")
    assert without_roles(conversation(TASK, prompts)) == (
        "Be brief.\n\nQ: 1 + 1? \\boxed{}!\n\n\\boxed{2}\n\nQ: 2 + 2? \\boxed{}!"
    )
    assert len(conversation(Task("exact", "Say a.", "a"), prompts)) == 6


def test_training_reads_what_evaluation_reads(tmp_path: Path):
    """TRL puts a row's turns through the template with the arguments of its config."""
    pytest.importorskip("trl")
    from ttc_rl.run_dir import ArmDir
    from ttc_rl.train.methods.grpo import prompts as rows
    from ttc_rl.train.methods.grpo_config import grpo_config

    made = recipe(PROMPTS)
    row = rows(made.prompts, {TASK.id: TASK}, Chat())(TASK.id)
    config = grpo_config(made, 1, ArmDir(tmp_path), track=False)
    trained = Chat().apply_chat_template(
        row, add_generation_prompt=True, **(config.chat_template_kwargs or {})
    )
    assert trained == READ
    assert rows(made.prompts, {TASK.id: TASK}, Chat(None))(TASK.id) == without_roles(
        conversation(TASK, made.prompts)
    )


def test_an_endpoint_is_asked_the_same():
    from ttc_rl.sampling import Decoding
    from ttc_rl.sampling.served import ServedCompleter

    prompts = recipe(PROMPTS).prompts
    body = ServedCompleter(None, "m", Decoding(4), prompts, chat=True)._body(TASK, 0)  # type: ignore[arg-type]
    assert body["messages"] == conversation(TASK, prompts)
    assert body["chat_template_kwargs"] == {"think": False}
    plain = ServedCompleter(None, "m", Decoding(4), {}, chat=True)._body(TASK, 0)  # type: ignore[arg-type]
    assert "chat_template_kwargs" not in plain


def test_the_policy_embeds_behind_the_same_system_turn():
    pytest.importorskip("sentence_transformers")
    from ttc_rl.embed.policy import chat_tokens

    config = Recipe.model_validate(
        {
            "model": "m",
            "corpus": "c",
            "target": "t",
            "prompts": {**PROMPTS, "template": {}},
            "embed": {"model": "policy"},
        }
    ).embedding
    tokens = chat_tokens(Chat(), ["2 + 2?"], None, config.chat)
    assert "".join(map(chr, tokens["input_ids"][0])) == "[system]Be brief.\n[user]2 + 2?\n"
    assert dict(EmbedConfig().reading(PROMPTS).chat) == {}  # a sentence encoder reads no chat


@pytest.mark.parametrize(
    "refuses",
    [
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + THINKS,
        THINKS.replace("[{{", "{% if m.role != 'system' %}[{{").replace(
            "\n{% endfor %}", "\n{% endif %}{% endfor %}"
        ),
    ],
    ids=["refuses", "leaves out"],
)
def test_a_system_turn_that_a_template_does_not_take_goes_before_the_first_user_turn(refuses: str):
    turns = chat_turns(
        conversation(TASK, {"system": "Be brief.", "math": "{prompt}"}), Chat(refuses)
    )
    assert turns == [{"role": "user", "content": "Be brief.\n\n2 + 2?"}]


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ({"math": "no place"}, r"math: the template has no \{prompt\}"),
        ({"examples": [{"prompt": "1"}]}, r"examples\.0\.reply: Field required"),
        ({"template": ["think"]}, "template: Input should be a valid dictionary"),
        ({"math": {"prompt": "{prompt}"}}, "math: Input should be a valid string"),
        ("Solve: {prompt}", "should be a mapping"),
    ],
)
def test_a_wrong_block_is_refused_in_one_line(prompts: Any, says: str):
    with pytest.raises(ValueError, match=says):
        recipe(prompts)
