"""Completions by an OpenAI-compatible endpoint: `vllm serve`, SGLang, or a provider's.

A reply is taken at its word only where it fits what was asked: one choice, text, a finish reason,
a token count within the limit, the model that was named. Not covered: an endpoint that takes a
`seed` and ignores it; samples are then drawn, but another evaluation does not repeat them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ttc_rl.config import EngineConfig
from ttc_rl.sampling import Decoding
from ttc_rl.sampling.prompts import conversation, without_roles
from ttc_rl.schema import Completion, Task, Undrawn, sample_seed
from ttc_rl.system.endpoint import (
    BadReply,
    Endpoint,
    Json,
    Unreachable,
    choice_of,
    message_of,
    text_of,
)

TRIES, PAUSE = 6, 1.0
"""A server that restarts within half a minute costs nothing but time."""


@dataclass
class ServedCompleter:
    endpoint: Endpoint
    model: str
    decoding: Decoding
    templates: Mapping[str, str]
    chat: bool = True

    @classmethod
    def connect(
        cls, model: str, decoding: Decoding, templates: Mapping[str, str], config: EngineConfig
    ) -> ServedCompleter:
        endpoint = Endpoint(
            config.url or "",
            where="eval.engine",
            api_key_env=config.api_key_env,
            concurrency=config.concurrency,
            timeout=config.timeout,
            tries=TRIES,
            pause=PAUSE,
        )
        endpoint.check()
        return cls(endpoint, model, decoding, templates, config.chat)

    def decoding_with(self, decoding: Decoding) -> ServedCompleter:
        """Return the same endpoint under other sampling parameters."""
        return replace(self, decoding=decoding)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def __call__(
        self, tasks: Sequence[Task], num_samples: int, *, seed: int, first: int = 0
    ) -> list[list[Completion]]:
        samples = range(first, first + num_samples)
        bodies = [
            self._body(task, sample_seed(seed, task.id, i)) for task in tasks for i in samples
        ]
        replies = self.endpoint.post(self._path, bodies, self._read)
        flat = [self._fitted(reply, body) for reply, body in zip(replies, bodies, strict=True)]
        lost = [reply for reply in flat if isinstance(reply, Unreachable)]
        groups = [flat[i : i + num_samples] for i in range(0, len(flat), num_samples)]
        drawn = [[c if isinstance(c, Completion) else None for c in group] for group in groups]
        if lost:
            failure = next((reply for reply in lost if reply.status), lost[0])
            raise Undrawn(
                f"{len(lost)} of {len(flat)} completions could not be had: {failure.reason}", drawn
            )
        return [[c for c in group if c is not None] for group in drawn]

    @property
    def _path(self) -> str:
        return "chat/completions" if self.chat else "completions"

    def _body(self, task: Task, seed: int) -> Json:
        turns = conversation(task, self.templates)
        prompt: Json = {"messages": turns} if self.chat else {"prompt": without_roles(turns)}
        if self.chat and self.templates.get("template"):
            prompt["chat_template_kwargs"] = self.templates["template"]
        return {
            "model": self.model,
            **prompt,
            "n": 1,
            "seed": seed,
            "temperature": self.decoding.temperature,
            "top_p": self.decoding.top_p,
            "max_tokens": self.decoding.max_tokens,
        }

    def _read(self, reply: Json) -> Completion:
        choice, usage = choice_of(reply), reply.get("usage")
        finish = choice.get("finish_reason")
        if finish not in ("stop", "length"):
            raise BadReply(f"finish_reason {finish!r}, not stop or length")
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        if not isinstance(tokens, int) or not 0 <= tokens <= self.decoding.max_tokens:
            raise BadReply(f"{tokens!r} tokens reported, {self.decoding.max_tokens} allowed")
        if not _same_model(reply.get("model"), self.model):
            raise BadReply(f"model {reply.get('model')!r} answered, {self.model!r} was requested")
        text = _chat_text(message_of(reply)) if self.chat else text_of(choice.get("text"))
        prompt_tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return Completion(
            text, finish, tokens, prompt_tokens if isinstance(prompt_tokens, int) else 0
        )

    def _fitted(self, answer: Completion | Unreachable, body: Json) -> Completion | Unreachable:
        """Return the completion of a refusal for want of context: of the prompt alone, or of the
        tokens asked for beyond it."""
        if isinstance(answer, Completion) or not _is_for_want_of_context(answer):
            return answer
        probe = self.endpoint.post(self._path, [{**body, "max_tokens": 1}], lambda reply: reply)[0]
        if not isinstance(probe, Unreachable):
            return Unreachable(
                f"eval.max_tokens: {self.decoding.max_tokens} and a prompt are more than there is "
                f"room for; lower it: {answer.reason}",
                answer.status,
            )
        if _is_for_want_of_context(probe):
            return Completion("", "prompt_too_long", 0)
        return probe


def _is_for_want_of_context(failure: Unreachable) -> bool:
    reason = failure.reason.lower()
    words = ("context length", "context_length", "model length", "context window")
    return failure.status == 400 and any(word in reason for word in words)


def _same_model(answering: object, name: str) -> bool:
    """Return whether an endpoint's model is the recipe's. Providers add a date or leave out a
    prefix; with nothing in common it is another model."""
    if answering is None:
        return True
    short, short_name = str(answering).rpartition("/")[2], name.rpartition("/")[2]
    return short.startswith(short_name) or short_name.startswith(short)


def _chat_text(message: Json) -> str:
    """Return the text with the reasoning that the server took out, as the model wrote it."""
    content = message.get("content")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if not reasoning:
        return text_of(content)
    return f"<think>{text_of(reasoning)}</think>{text_of(content or '')}"
