"""Where the keys of a recipe stand, for messages about them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Where each dotted key stands: `file:line`, or the command line.

    Places are all equal: two recipes that say the same are equal, whatever files they are from.
    """

    file: str = field(default="", compare=False)
    at: dict[str, str] = field(default_factory=dict[str, str], compare=False)
    arm: str = field(default="", compare=False)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return the folder of the recipe's file; nothing where no file holds it."""
        return (Path(self.file).parent,) if Path(self.file).is_file() else ()

    def of(self, key: str) -> str:
        """The place of a key, of one inside it, or of the nearest enclosing one."""
        inside = next((at for known, at in self.at.items() if known.startswith(f"{key}.")), None)
        if inside and key not in self.at:
            return inside
        parts = key.split(".")
        while parts:
            if ".".join(parts) in self.at:
                return self.at[".".join(parts)]
            parts.pop()
        return self.file

    def named(self, key: str) -> str:
        """`my.yaml:8: train.mask`, to begin a message with; the key alone where no file is known.

        A key that the arm or the sweep sets stands there.
        """
        parts = key.split(".")

        def depth(prefix: str) -> int:
            """How many parts of the key are written there."""
            known = [f"{at}." for at in self.at]
            whole = (f"{prefix}{'.'.join(parts[:n])}." for n in range(len(parts), 0, -1))
            found = (any(at.startswith(path) for at in known) for path in whole)
            return next((len(parts) - i for i, here in enumerate(found) if here), 0)

        written = [prefix for prefix in (f"arms.{self.arm}.", "sweep.", "") if depth(prefix)]
        key = max(written, key=depth, default="") + key
        where = self.of(key)
        return f"{where}: {key}" if where else key

    def of_arm(self, name: str) -> Places:
        return replace(self, arm=name)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
