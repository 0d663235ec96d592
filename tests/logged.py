"""Each line that the tool logs, handed to a function that may raise."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from ttc_rl.system.progress import handled_by


class Handler(logging.Handler):
    def __init__(self, do: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.do = do

    def emit(self, record: logging.LogRecord) -> None:
        self.do(record.getMessage())


def logged(do: Callable[[str], None]) -> AbstractContextManager[None]:
    return handled_by(Handler(do))
