"""The message when vLLM's server, which draws the rollouts, is gone.

TRL's client tries a request that failed five times more, with pauses of 60 seconds together, and
raises an error of `requests`: here that becomes one line. Some waits never end by themselves: a
broadcast of weights to a GPU whose process was killed, a reply from a machine that lost its power.
So a thread knocks at the server's port, and ends the process where nobody opens for longer than
the client would have tried. Not covered: a server that takes connections and never answers; of
that the watchdog's stall alarm tells.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from requests import RequestException

from ttc_rl.config import SERVER_URL, VllmConfig
from ttc_rl.schema import UserError

logger = logging.getLogger(__name__)

EVERY, GRACE = 5.0, 90.0
"""Seconds between two knocks, and without an answer until it is gone."""


def server_url(vllm: VllmConfig | None) -> str | None:
    """Return the URL of vLLM's server; None where the processes that train draw the rollouts."""
    if vllm is None or vllm.mode != "server":
        return None
    return vllm.server_base_url or os.environ.get(SERVER_URL)


@contextmanager
def server_watched(url: str | None, step: Callable[[], int]):
    """Raise UserError in place of a failed request to the server. `step` returns the last
    checkpoint's step."""
    if url is None:
        yield
        return

    def message() -> str:
        return (
            f"train.vllm: the server at {url} is gone; the last checkpoint is that of step "
            f"{step()}; start it again, then the same command (`run` with --resume)"
        )

    def end() -> None:
        logger.info(message())
        os._exit(2)  # the main thread may wait in C for good

    try:
        with _knocking(url, end):
            yield
    except RequestException as error:
        raise UserError(f"{message()} ({type(error).__name__})") from None


@contextmanager
def _knocking(url: str, gone: Callable[[], None]) -> Iterator[None]:
    """Call `gone` from a thread where the port, once open, was not for GRACE seconds."""
    over = threading.Event()
    thread = threading.Thread(target=_knock, args=(url, gone, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _knock(url: str, gone: Callable[[], None], over: threading.Event) -> None:
    opened, missed = False, 0
    while not over.wait(EVERY):
        if _opens(url):
            opened, missed = True, 0
        elif opened:  # else it is behind a proxy, or not up yet: the client knows
            missed += 1
            if missed * EVERY >= GRACE:
                gone()
                return


def _opens(url: str) -> bool:
    address = urlsplit(url)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        with socket.create_connection((address.hostname, port), timeout=EVERY):
            return True
    except OSError:
        return False
