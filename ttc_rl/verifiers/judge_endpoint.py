"""A judge behind an OpenAI-compatible endpoint: prompts in, texts out, at temperature 0."""

from __future__ import annotations

from collections.abc import Sequence

from ttc_rl.config import JudgeConfig
from ttc_rl.system.endpoint import PAUSE, Endpoint, Json, Unreachable, message_of, text_of

MAX_TOKENS = 1024


class JudgeEndpoint:
    def __init__(self, config: JudgeConfig, *, tries: int = 4, pause: float = PAUSE) -> None:
        self.model = config.model
        self.endpoint = Endpoint(
            config.endpoint or "",
            where="judge",
            api_key_env=config.api_key_env,
            concurrency=config.concurrency,
            timeout=config.timeout,
            tries=tries,
            pause=pause,
        )

    def __call__(self, prompts: Sequence[str]) -> list[str | Unreachable]:
        """Return replies in the order of the prompts."""
        bodies = [
            {
                "model": self.model,
                "messages": [{"role": "user", "content": prompt}],
                "temperature": 0,
                "max_tokens": MAX_TOKENS,
            }
            for prompt in prompts
        ]
        return self.endpoint.post("chat/completions", bodies, _content)


def _content(reply: Json) -> str:
    return text_of(message_of(reply).get("content"))
