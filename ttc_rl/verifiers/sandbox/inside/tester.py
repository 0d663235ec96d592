"""A tester never runs the program: it asks the process that does, and gets plain values.

It runs the test's own code, in which the program's functions are stand-ins. So nothing that the
program does to its own interpreter (patched builtins, `__eq__` that is always true, `os._exit`) is
seen by the code that decides, and what the test expects is in no memory the program can read.
"""

from __future__ import annotations

import builtins
import sys

from . import codec
from .program import class_names
from .streams import receive, send

TYPE_CHECKING = False  # as typing's, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def test(
    job: Mapping[str, Any],
    trial: Mapping[str, Any],
    secret: bytes,
    ask: int,
    listen: int,
    verdict: int,
) -> None:
    """Run the test's code; say "passed" only after its last line."""
    source, expression = codec.unpack(secret), trial["text"]
    namespace: dict[str, Any] = {"__name__": "test"}
    exec(compile(job["preamble"], "preamble.py", "exec"), namespace)
    client = Client(namespace, class_names(job["preamble"]), ask, listen)
    result: dict[str, Any] = {"passed": False}
    try:
        code = compile(source, "test.py", "exec")
        _bind(source, namespace, client, trial["arguments"] or ())
        exec(code, namespace)
        if expression:
            namespace["check"](client.stand_in(expression))
        result["passed"] = not client.over
    except codec.CannotTravel as error:
        result["undecided"] = f"the test hands over a {error}, which cannot reach the program"
    except BaseException as error:  # noqa: BLE001  # whatever a test's code may raise
        result["message"] = _describe(error, source)
    send(verdict, codec.pack(result))


class Client:
    """Asks the program's process; what comes back is made of plain values only."""

    def __init__(self, namespace: dict[str, Any], names: set[str], ask: int, listen: int) -> None:
        self.classes = {name: namespace[name] for name in names if name in namespace}
        self.ask, self.listen = ask, listen
        self.over = False

    def request(self, order: str, what: Any, arguments: Any) -> Any:
        data = codec.pack([order, what, arguments], self.classes, _number_of)
        try:
            send(self.ask, data)
            reply = receive(self.listen)
        except BrokenPipeError:
            reply = None
        if reply is None:
            self.over = True  # also where the test takes any exception for a good answer
            raise ProgramEnded("the program ended before it answered")
        answer = codec.unpack(reply, self.classes, self.handle)
        if isinstance(answer, list) and answer[:1] == [True]:
            return answer[1]
        raise _as_raised(answer)

    def stand_in(self, expression: str) -> Any:
        def function(*arguments: Any, **named: Any) -> Any:
            return self.request("call", expression, [arguments, named])

        function.__name__ = expression.rpartition(".")[2]
        return function

    def handle(self, number: int, name: str) -> Handle:
        return Handle(self, number, name)


class Handle:
    """Something that stays with the program. Nothing plain equals it; its parts can be had."""

    def __init__(self, client: Client, number: int, name: str) -> None:
        self.__dict__.update(_client=client, _number=number, _name=name)

    def __repr__(self) -> str:
        return f"<{self._name} of the program>"

    def __eq__(self, other: object) -> bool:
        """Compare two objects of the program's by the program; no other equals one."""
        if not isinstance(other, Handle):
            return False
        return other is self or self._part("__eq__")(other) is True

    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        """Refuse made-up names: numpy and others believe `__array_interface__` and its like, and a
        made-up one is a pointer into the memory of this process."""
        if name.startswith("__") and name not in ("__name__", "__doc__"):
            raise AttributeError(f"{self!r} has no {name}")
        return self._part(name)

    def _part(self, name: str) -> Any:
        return self._client.request("attribute", self._number, [name])

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._client.request("kept", self._number, [arguments, named])

    def __setattr__(self, name: str, value: Any) -> None:
        self._part("__setattr__")(name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._part("__getitem__")(key)

    def __len__(self) -> int:
        return self._part("__len__")()

    def __str__(self) -> str:
        return self._part("__str__")()


class ProgramEnded(BaseException):
    """No exception of the program's: it is no longer there."""


class ProgramRaised(Exception):
    """What the program raised, where a test could not name it."""


def _number_of(value: Any) -> int:
    if isinstance(value, Handle):
        return value.__dict__["_number"]
    raise codec.CannotTravel(type(value).__name__)


def _as_raised(answer: Any) -> Exception:
    """Return what the test sees. An exception that ends loops would end the test's own `map` or
    `zip`."""
    name, text = str(answer[1]), str(answer[2])
    kind = getattr(builtins, name, None)
    if (
        isinstance(kind, type)
        and issubclass(kind, Exception)
        and not issubclass(kind, (UnicodeError, StopIteration, StopAsyncIteration))
    ):
        return kind(text)
    return ProgramRaised(f"{name}: {text}")


def _describe(error: BaseException, source: str) -> str:
    """Return the line of the test's code that failed, and the error."""
    where, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "test.py":
            where = trace.tb_lineno
        trace = trace.tb_next
    lines = source.splitlines()
    line = lines[where - 1].strip()[:200] if 0 < where <= len(lines) else ""
    return f"{line}: {type(error).__name__} {str(error)[:200]}".strip(": ")


def _bind(source: str, namespace: dict[str, Any], client: Client, own: Sequence[str]) -> None:
    """Bind names that the test uses and nobody defines to the program's, and those in `own` too.

    Where such a name is a module of the standard library and its parts are used, as in
    `sys.getsizeof(x)`, the test relies on an import of the program's: it gets the module itself.
    """
    import ast

    nodes = list(ast.walk(ast.parse(source)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    bases = [node.value for node in nodes if isinstance(node, ast.Attribute)]
    modules = {base.id for base in bases if isinstance(base, ast.Name)} & sys.stdlib_module_names
    for name in {name for name in read if name not in namespace} | set(own):
        if name in modules and name not in own:
            namespace[name] = __import__(name)
        elif name in own or not hasattr(builtins, name):
            namespace[name] = client.stand_in(name)
