"""Which families of models go through which stage: the table of docs/models.md, as Markdown.

    python tests/benchmarks/zoo.py

Small random models with tokenizers that behave as the families' do (tests/zoo/families.py), two
steps each with warm-up. A stage that fails is a "no" with its error on standard error. Minutes.
"""

# ruff: noqa: T201
from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "zoo"))

from families import FAMILIES, make
from stages import ADAPTERS, STAGES, Walk


def outcome(model: Path, folder: Path, adapter: str) -> list[str]:
    """Return yes or no for each stage; after a no there is nothing to go on from."""
    walk, cells = Walk.begin(model, folder, adapter), []
    for name, stage in STAGES.items():
        try:
            stage(walk)
        except Exception:  # noqa: BLE001  the table is about what fails
            print(f"{model.name}, {adapter}, {name}:\n{traceback.format_exc()}", file=sys.stderr)
            return [*cells, "**no**", *["-"] * (len(STAGES) - len(cells) - 1)]
        cells.append("yes")
    return cells


def main() -> None:
    print(f"| family | trained | {' | '.join(STAGES)} |")
    print("|:--|:--|" + ":-:|" * len(STAGES))
    with tempfile.TemporaryDirectory() as folder:
        for name in FAMILIES:
            model = make(name, Path(folder) / name)
            for adapter in ADAPTERS:
                run = Path(folder) / f"{name}-{adapter}"
                run.mkdir()
                print(f"| {name} | {adapter} | {' | '.join(outcome(model, run, adapter))} |")


if __name__ == "__main__":
    main()
