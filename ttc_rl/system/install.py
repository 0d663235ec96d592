"""How an extra is installed: the project is on no package index yet."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
"""The checkout that this runs from; a folder of packages where it was installed from a wheel."""


def install(extra: str) -> str:
    """Return the command that installs an extra, for the end of a message."""
    if not (CHECKOUT / "pyproject.toml").exists():
        return f"pip install -e '.[{extra}]' in a checkout of ttc-rl"
    where = "." if Path.cwd() == CHECKOUT else CHECKOUT
    return f"pip install -e '{where}[{extra}]'"
