# ruff: noqa: T201
"""How often the code calls things by words that do not say what they are.

    python tests/benchmarks/vague_names.py [FOLDER...]       ttc_rl eval/ttc_eval

Counts the names that the code gives (parameters, assigned variables, functions) and those among
them that are one of WORDS, alone. Prints the share by folder, and the files that hold most.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORDS = frozenset(
    (
        "found", "told", "one", "asked", "known", "left", "owed", "said", "made", "kept", "given",
        "shown", "meant", "wanted", "got", "thing", "things", "stuff", "info", "obj", "tmp", "foo",
    )
)  # fmt: skip


def names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name.strip("_")


def main(folders: list[str]) -> None:
    for folder in folders:
        every, vague, files = 0, Counter[str](), Counter[str]()
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in names(ast.parse(path.read_text(encoding="utf-8"))):
                every += 1
                if name in WORDS:
                    vague[name] += 1
                    files[str(path.relative_to(ROOT))] += 1
        print(
            f"{folder}: {vague.total():,} of {every:,} names are vague, {vague.total() / every:.1%}"
        )
        print("  " + ", ".join(f"{name} {count}" for name, count in vague.most_common(12)))
        print("  " + ", ".join(f"{name} {count}" for name, count in files.most_common(8)))


if __name__ == "__main__":
    main(sys.argv[1:] or ["ttc_rl", "eval/ttc_eval"])
