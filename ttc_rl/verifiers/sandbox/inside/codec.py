"""Values between processes that do not trust each other: plain types in, plain types out.

Bytes that anybody made up decode to plain values or raise `Unreadable`; nothing is ever executed,
so an object that claims to equal everything arrives as what it is made of, or not at all. They
cost no more than `ROOM` bytes and a few seconds, and build nothing that the interpreter would
overflow its stack on.

Not covered: functions, modules, and objects of the sender's own classes. Where the receiver can
hold a handle (`Packer.keep`) such a thing travels as its number, else it cannot travel.
"""

from __future__ import annotations

from . import standard

TYPE_CHECKING = False  # as typing's, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

VIEWS = ("dict_keys", "dict_values", "dict_items")
ROOM = 256 << 20
"""Bytes of memory that one unpacked value may take, as `COSTS` counts them."""
COSTS = {b"S": 300, b"Z": 300, b"d": 300, b"n": 1000, b"v": 500, b"I": 200, b"l": 200, b"t": 200}
DEEPEST = 500
"""Where a value of `standard.NAMED` or a view may stand; plain lists may be nested deeper. The
interpreter frees nested ones by recursion in C, and a stack that overflows there cannot be caught.
"""


class CannotTravel(Exception):
    """A value that has no plain form."""


class Unreadable(Exception):
    """Bytes that `pack` did not write."""


def pack(value: Any, classes: Any = (), keep: Callable[[Any], int] | None = None) -> bytes:
    """Return a value as bytes. `classes` names classes that both sides know; `keep` takes what
    cannot travel."""
    packer = Packer(classes, keep)
    packer.put(value)
    return b"".join(packer.parts)


def unpack(data: bytes, classes: Mapping[str, Any] | None = None, handle: Any = None) -> Any:
    """Return the value of bytes. `classes` by name, for objects; `handle(number, class name)` for
    what was kept there."""
    reader = Unpacker(data, classes or {}, handle)
    try:
        value = reader.get()
    except Exception as error:  # whatever a constructor says to made-up parts
        raise Unreadable(str(error)[:300] or type(error).__name__) from error
    if reader.at != len(data):
        raise Unreadable("more bytes than one value")
    return value


class Opaque:
    """Something that stayed where it was: true, and equal to nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<a {self.name[:50]}>"


class Packer:
    def __init__(self, classes: Any, keep: Callable[[Any], int] | None) -> None:
        self.parts: list[bytes] = []
        self.classes = classes
        self.keep = keep
        self.objects: dict[int, int] = {}

    def put(self, value: Any) -> None:
        """Write a value and what is in it, in order; without recursion, however deep it is."""
        waiting = [iter((value,))]
        while waiting:
            for value in waiting[-1]:
                inside = self.head(value)
                if inside:
                    waiting.append(iter(inside))
                    break
            else:
                waiting.pop()

    def head(self, value: Any) -> Any:
        """Write a value without what is in it; return the values inside."""
        kind = type(value)
        if value is None or value is True or value is False:
            self.parts.append(b"N" if value is None else b"T" if value else b"F")
        elif isinstance(value, int):
            self.line(b"i", f"{int.__index__(value):x}")
        elif isinstance(value, float):
            self.line(b"f", float.hex(value))
        elif isinstance(value, complex):
            self.line(b"c", f"{float.hex(value.real)} {float.hex(value.imag)}")
        elif isinstance(value, str):
            self.block(b"s", str.encode(value, "utf-8", "surrogatepass"))
        elif isinstance(value, (bytes, bytearray)):
            self.block(b"b" if isinstance(value, bytes) else b"B", bytes(value))
        elif isinstance(value, range):
            self.line(b"r", f"{value.start:x} {value.stop:x} {value.step:x}")
        elif kind.__name__ in standard.NAMED and (named := standard.parts(value)) is not None:
            self.line(b"n", kind.__name__)
            return (named,)
        elif isinstance(value, (list, tuple, set, frozenset)):
            return self.many(_letter(value), list(value))
        elif isinstance(value, dict):
            return self.many(b"d", [part for item in dict.items(value) for part in item])
        elif kind.__name__ in VIEWS:
            self.line(b"v", kind.__name__)
            return (list(value),)
        elif kind.__module__ == "numpy" and hasattr(value, "item"):
            return (value.item(),)
        elif kind.__name__ in self.classes:
            return self.instance(value, kind.__name__)
        elif hasattr(kind, "__next__"):
            return self.many(b"I", list(value))
        elif self.keep is not None:
            self.line(b"k", f"{self.keep(value):x} {kind.__name__}")
        else:
            raise CannotTravel(kind.__name__)
        return ()

    def line(self, letter: bytes, text: str) -> None:
        self.parts.append(letter + text.encode() + b"\n")

    def block(self, letter: bytes, data: bytes) -> None:
        self.parts.append(letter + b"%x\n" % len(data) + data)

    def many(self, letter: bytes, items: list[Any]) -> list[Any]:
        if letter in b"lt" and set(map(type, items)) == {int}:
            letter = b"L" if letter == b"l" else b"U"  # long lists of numbers are common
            self.line(letter, " ".join([f"{item:x}" for item in items]))
            return []
        if letter in b"lt" and set(map(type, items)) == {float}:
            self.line(b"G" if letter == b"l" else b"H", " ".join(map(float.hex, items)))
            return []
        self.line(letter, f"{len(items):x}")
        return items

    def instance(self, value: Any, name: str) -> Any:
        if id(value) in self.objects:
            self.line(b"=", f"{self.objects[id(value)]:x}")
            return ()
        self.objects[id(value)] = len(self.objects)
        self.line(b"o", name)
        return (dict(vars(value)),)


MORE: Any = object()
"""Stands for a value whose parts are yet to come."""


class Unpacker:
    def __init__(self, data: bytes, classes: Mapping[str, Any], handle: Any) -> None:
        self.data = data
        self.at = 0
        self.classes = classes
        self.handle = handle
        self.objects: list[Any] = []
        self.room = ROOM
        self.tables = standard.Tables()

    def get(self) -> Any:
        """Read one value and what is in it; without recursion, however deep it is."""
        open_: list[tuple[int, list[Any], Callable[[list[Any]], Any]]] = []
        while True:
            value = self.head(open_)
            if value is MORE:
                continue
            while open_:
                size, items, build = open_[-1]
                items.append(value)
                if len(items) < size:
                    break
                open_.pop()
                value = build(items)
            else:
                return value

    def head(self, open_: list[Any]) -> Any:
        """Read a value without parts; or MORE, and what to build of its parts on top of `open_`."""
        letter = self.data[self.at : self.at + 1]
        self.at += 1
        if letter in (b"N", b"T", b"F"):
            return {b"N": None, b"T": True, b"F": False}[letter]
        line = self.line()
        self.room -= COSTS.get(letter, 40)
        if self.room < 0:
            raise ValueError("more than fits into memory")
        if letter == b"i":
            return int(line, 16)
        if letter == b"f":
            return float.fromhex(line.decode())
        if letter in (b"L", b"U"):
            numbers = [int(part, 16) for part in line.split()]
            return numbers if letter == b"L" else tuple(numbers)
        if letter in (b"G", b"H"):
            floats = list(map(float.fromhex, line.decode().split()))
            return floats if letter == b"G" else tuple(floats)
        if letter in (b"s", b"b", b"B"):
            data = self.take(int(line, 16))
            return data.decode("utf-8", "surrogatepass") if letter == b"s" else data
        if letter in b"ltSZdI":
            size, build = self.count(line), self.many(letter)
            if size == 0:
                return build([])
            open_.append((size, [], build))
            return MORE
        return self.rare(letter, line.decode(), open_)

    def rare(self, letter: bytes, line: str, open_: list[Any]) -> Any:
        if letter == b"c":
            return complex(*map(float.fromhex, line.split()))
        if letter == b"r":
            return range(*(int(part, 16) for part in line.split()))
        if letter in (b"n", b"v", b"o"):
            if letter != b"o" and len(open_) > DEEPEST:
                raise ValueError("nested too deeply")
            build = {b"n": self.named, b"v": self.view, b"o": self.instance}[letter]
            open_.append((1, [], build(line)))
            return MORE
        if letter == b"=":
            return self.objects[int(line, 16)]
        if letter == b"k" and self.handle is not None:
            number, _, name = line.partition(" ")
            return self.handle(int(number, 16), name)
        return Opaque(line.partition(" ")[2]) if letter == b"k" else _unknown(letter)

    def many(self, letter: bytes) -> Callable[[list[Any]], Any]:
        if letter in b"SZ":
            return self.tables.new_set if letter == b"S" else self.tables.new_frozenset
        return {b"l": list, b"t": tuple, b"d": self.tables.pairs, b"I": iter}[letter]

    def named(self, name: str) -> Callable[[list[Any]], Any]:
        # Outside the sandbox an array stays a list: a made-up dtype can ask for any memory.
        outside = name == "ndarray" and self.handle is None
        return lambda items: items[0][0] if outside else standard.build(name, items[0], self.tables)

    def view(self, name: str) -> Callable[[list[Any]], Any]:
        def build(items: list[Any]) -> Any:
            parts = standard.expect(list, items[0])
            if name == "dict_items":
                keys, values = [key for key, _ in parts], [value for _, value in parts]
                return self.tables.new_dict(keys, values).items()
            if name == "dict_keys":
                return self.tables.new_dict(parts, parts).keys()
            return self.tables.new_dict(list(range(len(parts))), parts).values()

        return build if name in VIEWS else _unknown(b"v")

    def instance(self, name: str) -> Callable[[list[Any]], Any]:
        """Return what fills an object, which is known before its parts, since they may hold it."""
        cls = self.classes[name]
        value = cls.__new__(cls)
        self.objects.append(value)

        def fill(items: list[Any]) -> Any:
            vars(value).update(items[0])
            return value

        return fill

    def line(self) -> bytes:
        end = self.data.index(b"\n", self.at)
        start, self.at = self.at, end + 1
        return self.data[start:end]

    def take(self, size: int) -> bytes:
        start, self.at = self.at, self.at + self.count(b"%x" % size)
        return self.data[start : self.at]

    def count(self, line: bytes) -> int:
        """Read a length that the remaining bytes can hold."""
        size = int(line, 16)
        if not 0 <= size <= len(self.data) - self.at:
            raise ValueError("a length beyond the end")
        return size


def _letter(value: Any) -> bytes:
    for kind, letter in ((list, b"l"), (tuple, b"t"), (set, b"S")):
        if isinstance(value, kind):
            return letter
    return b"Z"


def _unknown(letter: bytes) -> Any:
    raise ValueError(f"no such kind of value: {letter!r}")
