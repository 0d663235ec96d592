"""Bytes through pipes: all of them, or as many as there are before the end."""

from __future__ import annotations

import os


def send(fd: int, data: bytes) -> None:
    write_all(fd, len(data).to_bytes(8, "big") + data)


def receive(fd: int) -> bytes | None:
    head = read_exactly(fd, 8)
    return read_exactly(fd, int.from_bytes(head, "big")) if len(head) == 8 else None


def complete(data: bytes | bytearray) -> bool:
    return len(data) >= 8 and len(data) - 8 >= int.from_bytes(data[:8], "big")


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_exactly(fd: int, size: int) -> bytes:
    """Read `size` bytes; fewer only at the end."""
    parts, remaining = [], size
    while remaining > 0 and (data := os.read(fd, min(remaining, 1 << 20))):
        parts.append(data)
        remaining -= len(data)
    return b"".join(parts)


def read_block() -> bytes:
    """Read from standard input, without reading ahead: what follows is for somebody else."""
    return read_exactly(0, int.from_bytes(read_exactly(0, 8), "big"))
