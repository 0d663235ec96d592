"""What the model reads around a task: `prompts:`, obeyed wherever it reads one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import ConfigDict, Field, ValidationError

from ttc_rl.config.section import Section

PLACE = "{prompt}"
"""Where a template has the task's own prompt."""


class ExampleConfig(Section):
    """A task that is shown with its answer before the one to be solved."""

    prompt: str
    """The task, put into the template of its kind as the others are."""
    reply: str
    """The whole answer of the assistant, with the final answer in the form that is asked for."""
    kind: str | None = None
    """Only before tasks of this kind; before all when left out."""


class PromptsConfig(Section):
    """What the model reads around a task, in training, evaluation, at endpoints, in the embedding
    by the policy, and in LESS alike. Every other key is a kind of task, and its value the template
    for it, with `{prompt}` in it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str] = Field(init=False)  # pyright: ignore

    system: str | None = None
    """System turn before every task that brings none along."""
    template: dict[str, Any] = {}
    """Arguments of the model's chat template, such as `{enable_thinking: false}`."""
    examples: list[ExampleConfig] = []
    """Tasks with their answers, shown before each task as turns of the chat (few-shot)."""
    after: str = ""
    """Text behind every prompt, such as Qwen3's switch ` /no_think`."""


RESERVED = tuple(PromptsConfig.model_fields)
"""Keys of `prompts:` that are no kinds."""


def checked(value: Any) -> Any:
    """Return `prompts:` as a mapping with the keys that were given. Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError("should be a mapping, of `system`, `template` ... or kinds of task")
    try:
        given = PromptsConfig.model_validate(value).model_dump(exclude_unset=True)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        raise ValueError(f"{key}: {problem['msg']}") from None
    for kind, template in given.items():
        if kind not in RESERVED and PLACE not in cast(str, template):
            raise ValueError(f"{kind}: the template has no {PLACE}, so no task would be shown")
    return given
