"""An OpenAI-compatible chat endpoint: prompts in, texts out, a bounded number at a time.

A request is tried a few times with growing pauses; what cannot be had comes back as `Unreachable`,
never as an exception, so that one lost request costs one verdict. Not covered: streaming, proxies.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ttc_rl.config import JudgeConfig
from ttc_rl.schema import UserError

TRIES = 4
PAUSE = 0.5
"""Seconds before the second try; twice as many before each one after."""
MAX_BYTES = 4 << 20
"""Of a reply; a longer one is not a chat message."""
MAX_TOKENS = 1024
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Unreachable:
    """A prompt without reply, and why."""

    reason: str


class Endpoint:
    def __init__(self, config: JudgeConfig, *, tries: int = TRIES, pause: float = PAUSE) -> None:
        self.config, self.tries, self.pause = config, tries, pause
        self.url = urlsplit(config.endpoint or "")
        if self.url.scheme not in ("http", "https") or not self.url.hostname:
            raise UserError(f"judge.endpoint: {config.endpoint!r} is no http(s) address")
        if config.api_key_env and config.api_key_env not in os.environ:
            raise UserError(f"judge.api_key_env: the variable {config.api_key_env} is not set")

    def __call__(self, prompts: Sequence[str]) -> list[str | Unreachable]:
        """Replies in the order of the prompts, at temperature 0."""
        with ThreadPoolExecutor(self.config.concurrency, thread_name_prefix="judge") as pool:
            return list(pool.map(self._ask, prompts))

    def _ask(self, prompt: str) -> str | Unreachable:
        failed = Unreachable("not tried")
        for attempt in range(self.tries):
            if attempt:
                time.sleep(self.pause * 2 ** (attempt - 1))
            try:
                status, body = self._post(prompt)
            except (OSError, http.client.HTTPException) as error:
                failed = Unreachable(f"{self.config.endpoint}: {error or type(error).__name__}")
                continue
            if status == 200:
                return _content(body)
            failed = Unreachable(f"{self.config.endpoint}: HTTP {status}: {body[:200]!r}")
            if status not in _AGAIN:
                break
        return failed

    def _post(self, prompt: str) -> tuple[int, bytes]:
        """One request, done within `timeout` seconds even where the server trickles."""
        kind = (
            http.client.HTTPSConnection
            if self.url.scheme == "https"
            else http.client.HTTPConnection
        )
        deadline = time.monotonic() + self.config.timeout
        connection = kind(self.url.hostname or "", self.url.port, timeout=self.config.timeout)
        try:
            path = f"{self.url.path.rstrip('/')}/chat/completions"
            connection.request("POST", path, self._body(prompt), self._headers())
            response = connection.getresponse()
            return response.status, self._read(connection, response, deadline)
        finally:
            connection.close()

    def _read(
        self, connection: http.client.HTTPConnection, response: Any, deadline: float
    ) -> bytes:
        parts: list[bytes] = []
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or sum(map(len, parts)) > MAX_BYTES:
                raise TimeoutError("the reply took too long" if left <= 0 else "the reply is huge")
            if connection.sock is not None:
                connection.sock.settimeout(left)
            part = response.read1(65536)
            if not part:
                return b"".join(parts)
            parts.append(part)

    def _body(self, prompt: str) -> bytes:
        message = {"role": "user", "content": prompt}
        asked = {"model": self.config.model, "messages": [message], "temperature": 0}
        return json.dumps(asked | {"max_tokens": MAX_TOKENS}).encode()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.config.api_key_env:
            headers["Authorization"] = f"Bearer {os.environ[self.config.api_key_env]}"
        return headers


def _content(body: bytes) -> str | Unreachable:
    """The message of a chat reply; another shape is the server's fault, not an answer's."""
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        return Unreachable(f"no chat reply ({type(error).__name__}): {body[:200]!r}")
    if isinstance(content, str):
        return content.encode("utf-8", "replace").decode()
    return Unreachable(f"a chat reply without text: {body[:200]!r}")
