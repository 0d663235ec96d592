"""An OpenAI-compatible endpoint: requests in, replies out, a bounded number at a time.

A request is tried a few times with growing pauses; what cannot be had comes back as `Unreachable`,
never as an exception, so that one lost request costs one reply. A reply that is not what was asked
for counts as a failure of the server and is tried again. Not covered: streaming, proxies.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ttc_rl.schema import UserError, whole_text
from ttc_rl.system.bounded_post import post

PAUSE = 0.5
"""Seconds before the second try; twice as many before each one after."""
LONGEST_PAUSE = 60.0
LONGEST_LOOK = 10.0
"""Seconds for the first look whether anybody is there."""
MAX_BYTES = 4 << 20
"""Of a reply; a longer one is no completion."""
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
_HOPELESS = {401, 403, 404}
"""No request will fare better: the others are not sent."""
Json = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Unreachable:
    """A request without a reply, and why. `status` is that of HTTP, where there was one."""

    reason: str
    status: int | None = None


class BadReply(Exception):
    """A reply in another shape than was asked for, in words."""


class Endpoint:
    """`where` is the section of a recipe that holds `url` and `api_key_env`, for messages."""

    def __init__(
        self,
        url: str,
        *,
        where: str,
        api_key_env: str | None = None,
        concurrency: int = 16,
        timeout: float = 60.0,
        tries: int = 4,
        pause: float = PAUSE,
    ) -> None:
        self.url, self.where = url, where
        self.timeout, self.concurrency = timeout, concurrency
        self.tries, self.pause = tries, pause
        self.address = urlsplit(url)
        if self.address.scheme not in ("http", "https") or not self.address.hostname:
            raise UserError(f"{where}: {url!r} is no http(s) address")
        if api_key_env and api_key_env not in os.environ:
            raise UserError(f"{where}: the variable {api_key_env} (api_key_env) is not set")
        self.headers = {"Content-Type": "application/json"}
        if api_key_env:
            self.headers["Authorization"] = f"Bearer {os.environ[api_key_env]}"

    def post(
        self, path: str, bodies: Sequence[Mapping[str, Any]], read: Callable[[Json], T]
    ) -> list[T | Unreachable]:
        """Return what `read` makes of each reply, in the order of `bodies`; it may raise
        BadReply."""
        closed = threading.Event()

        def ask(body: Mapping[str, Any]) -> T | Unreachable:
            if closed.is_set():
                return Unreachable(f"{self.url}: not sent, since another request was refused")
            answer = self._ask(path, json.dumps(body).encode(), read)
            if isinstance(answer, Unreachable) and answer.status in _HOPELESS:
                closed.set()
            return answer

        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="endpoint") as pool:
            return list(pool.map(ask, bodies))

    def _ask(self, path: str, body: bytes, read: Callable[[Json], T]) -> T | Unreachable:
        failed = Unreachable("not tried")
        wait = 0.0
        for attempt in range(self.tries):
            if attempt:
                time.sleep(min(max(wait, self.pause * 2 ** (attempt - 1)), LONGEST_PAUSE))
            try:
                status, reply, wait = self._post(path, body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                failed = Unreachable(f"{self.url}: {error or type(error).__name__}")
                continue
            if status == 200:
                try:
                    return read(_object(reply))
                except BadReply as problem:
                    failed = Unreachable(f"{self.url}: {problem}: {reply[:200]!r}", status)
                    continue
            failed = Unreachable(f"{self.url}: HTTP {status}: {reply[:400]!r}", status)
            if status not in _AGAIN:
                break
        return failed

    def check(self) -> None:
        """Raise UserError at once where nothing listens there: every request would wait for it."""
        port = self.address.port or (443 if self.address.scheme == "https" else 80)
        seconds = min(self.timeout, LONGEST_LOOK)
        try:
            socket.create_connection((self.address.hostname or "", port), seconds).close()
        except OSError as error:
            raise UserError(
                f"{self.where}: {self.url}: nothing answers there ({error}); start the server, or "
                "mend the address"
            ) from None

    def _post(self, path: str, body: bytes) -> tuple[int, bytes, float]:
        """Return the status, the reply, and the pause asked for."""
        where = f"{self.url.rstrip('/')}/{path}"
        status, reply, wait = post(where, body, self.headers, self.timeout, MAX_BYTES)
        return status, reply, float(wait) if wait.isascii() and wait.isdigit() else 0.0


def _object(reply: bytes) -> Json:
    try:
        value = json.loads(reply)
    except (ValueError, RecursionError):
        raise BadReply("the reply is not JSON") from None
    if not isinstance(value, dict):
        raise BadReply("the reply is no object")
    return value


def message_of(reply: Json) -> Json:
    """Return the one message of a chat reply. Raises BadReply."""
    message = choice_of(reply).get("message")
    if not isinstance(message, dict):
        raise BadReply("a choice without message")
    return message


def choice_of(reply: Json) -> Json:
    """Return the one choice of a reply. Raises BadReply."""
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise BadReply("the reply should hold one choice")
    return choices[0]


def text_of(value: Any) -> str:
    """Return text that can be written down: halves of surrogate pairs are replaced. Raises
    BadReply."""
    if not isinstance(value, str):
        raise BadReply("a reply without text")
    return whole_text(value)
