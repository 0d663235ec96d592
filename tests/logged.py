"""Each line that the tool logs, handed to a function that may raise."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ttc_rl.system.progress import LOGGERS


class Handler(logging.Handler):
    def __init__(self, do: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.do = do

    def emit(self, record: logging.LogRecord) -> None:
        self.do(record.getMessage())


@contextmanager
def logged(do: Callable[[str], None]) -> Iterator[None]:
    handler, loggers = Handler(do), [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
