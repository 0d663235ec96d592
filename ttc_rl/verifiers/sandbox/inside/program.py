"""A child's work on the program: run it as a script, or load it and answer questions about it."""

from __future__ import annotations

import sys

from . import codec
from .streams import receive, send

TYPE_CHECKING = False  # as typing's, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def run(job: Mapping[str, Any]) -> None:
    """Run a program as `python program.py` would, down to exit codes, remaining threads and
    atexit."""
    module = _module("__main__")
    sys.argv[:] = ["program.py"]
    exec(compile(job["preamble"], "preamble.py", "exec"), module.__dict__)
    exec(compile(job["program"], "program.py", "exec"), module.__dict__)


def answer_once(job: Mapping[str, Any], trial: Mapping[str, Any], replies: int) -> None:
    """Load the program as a module and send the value of one expression."""
    server = _load(job)
    send(replies, server.answer(codec.pack(["value", trial["text"], trial["arguments"]])))


def serve(job: Mapping[str, Any], requests: int, replies: int) -> None:
    """Load the program as a module, then answer until nobody asks any more."""
    server = _load(job)
    while (request := receive(requests)) is not None:
        send(replies, server.answer(request))


def _load(job: Mapping[str, Any]) -> Server:
    module = _module("program")
    namespace = module.__dict__
    for name, source in [("preamble.py", job["preamble"]), ("program.py", job["program"])]:
        exec(compile(source, name, "exec"), namespace)
    exec(compile(job["setup"], "setup.py", "exec"), namespace)
    return Server(namespace, class_names(job["preamble"]))


class Server:
    def __init__(self, namespace: dict[str, Any], classes: set[str]) -> None:
        self.namespace = namespace
        self.classes = classes
        self.kept: list[Any] = []
        self.functions: dict[str, Any] = {}

    def answer(self, request: bytes) -> bytes:
        """Return a value, or what was raised. BaseException: a program may raise SystemExit or
        worse."""
        classes = {name: self.namespace[name] for name in self.classes if name in self.namespace}
        order, what, arguments = codec.unpack(request, classes, lambda number, _: self.kept[number])
        try:
            value = self.obey(order, what, arguments)
            return codec.pack([True, value], self.classes, self.keep)
        except BaseException as error:  # noqa: BLE001
            return codec.pack([False, type(error).__name__, str(error)[:300]])

    def obey(self, order: str, what: Any, arguments: Any) -> Any:
        if order == "value":
            value = eval(compile(what, "test.py", "eval"), self.namespace)
            return value if arguments is None else value(*arguments)
        if order == "attribute":
            return getattr(self.kept[what], *arguments)
        positional, named = arguments
        function = self.kept[what] if order == "kept" else self.function(what)
        return function(*positional, **named)

    def function(self, expression: str) -> Any:
        """Return a function of the program. `Solution().f` is made once, as a test would hold
        it."""
        if expression not in self.functions:
            self.functions[expression] = eval(expression, self.namespace)
        return self.functions[expression]

    def keep(self, value: Any) -> int:
        self.kept.append(value)
        return len(self.kept) - 1


def class_names(source: str) -> set[str]:
    lines = (line for line in source.splitlines() if line.startswith("class "))
    return {line[6:].partition("(")[0].partition(":")[0].strip() for line in lines}


def _module(name: str) -> Any:
    module = type(sys)(name)
    sys.modules[name] = module
    return module
