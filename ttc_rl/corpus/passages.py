"""Plain text in passages: the sources of installed packages, or files by pattern.

Whole files go to a role, so that what is tested shares no file with what is trained on. Nearly
equal passages in different files stay: real stores are full of them.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ttc_rl.schema import UserError, content_hash

Role = Literal["target", "store", "base"]
ROLES: Sequence[Role] = (
    "target", "base", "base", "store", "store", "store", "store", "store",
)  # fmt: skip
"""Of a file whose hash ends in that eighth."""
LEAST = 0.5
"""Of the length asked: a shorter passage says little, and is left out."""
PACKAGE = "package:"


@dataclass(frozen=True)
class Passage:
    text: str
    file: str
    """For a reader: where it is from."""

    @property
    def bytes(self) -> int:
        return len(self.text.encode())


def read_passages(texts: Sequence[str], size: int) -> dict[Role, list[Passage]]:
    """Return each role's passages of at most `size` bytes, each text once.

    Raises UserError where a pattern or package has no file, or a role no passage.
    """
    found: dict[Role, list[Passage]] = {"target": [], "store": [], "base": []}
    seen = set[str]()
    for name, path in sorted({entry for text in texts for entry in _files(text)}):
        try:
            whole = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        role = ROLES[int(content_hash(name)[-1], 16) % 8]
        for text in passages(whole, size):
            if text not in seen:
                seen.add(text)
                found[role].append(Passage(text, name))
    for role, those in found.items():
        if not those:
            raise UserError(f"texts: no passage of {size} bytes for the {role}; name more files")
    return found


def _files(text: str) -> Iterator[tuple[str, Path]]:
    """Yield the name and the path of each file."""
    if text.startswith(PACKAGE):
        spec = importlib.util.find_spec(text.removeprefix(PACKAGE))
        folders = list(spec.submodule_search_locations or []) if spec else []
        if not folders:
            raise UserError(f"texts: {text}: no installed package of that name")
        paths = sorted(Path(folders[0]).rglob("*.py"))
        yield from ((f"{text}/{path.relative_to(folders[0]).as_posix()}", path) for path in paths)
        return
    paths = sorted(path for path in Path().glob(text) if path.is_file())
    if not paths:
        raise UserError(f"texts: {text}: no such file")
    yield from ((path.as_posix(), path) for path in paths)


def passages(whole: str, size: int) -> Iterator[str]:
    """Yield whole lines of at most `size` bytes together; a longer line is cut."""
    part, length = list[str](), 0
    for line in whole.splitlines(keepends=True):
        for piece in _cut(line, size):
            count = len(piece.encode())
            if part and length + count > size:
                yield from _long_enough(part, length, size)
                part, length = [], 0
            part.append(piece)
            length += count
    yield from _long_enough(part, length, size)


def _long_enough(part: Sequence[str], length: int, size: int) -> Iterator[str]:
    text = "".join(part)
    if length >= LEAST * size and text.strip():
        yield text


def _cut(line: str, size: int) -> Iterator[str]:
    step = max(1, size // 4)  # a character has four bytes at most
    while len(line.encode()) > size:
        yield line[:step]
        line = line[step:]
    yield line


def with_echoes(
    store: Sequence[Passage], echoes: int, seed: int
) -> tuple[list[Passage], Mapping[int, int]]:
    """Return the store with `echoes` near-duplicates of each passage behind it, and which passage
    each is an echo of, by their rows."""
    rng = random.Random(f"echoes {seed}")
    rows, of = list(store), dict[int, int]()
    for row, passage in enumerate(store):
        for _ in range(echoes):
            words = passage.text.split(" ")
            for _ in range(2):
                if len(words) > 2:
                    words.pop(rng.randrange(len(words)))
            of[len(rows)] = row
            rows.append(Passage(" ".join(words), passage.file))
    return rows, of
