# ruff: noqa: T201
"""What a copy of TRL's sources lacks of what our trainers use: read, not run.

    git clone --depth 1 --branch v1.18.0 https://github.com/huggingface/trl
    python tests/benchmarks/trl_source.py trl/trl

It ends with 1 where something is missing. Nothing missing is no proof that training works there:
before the pin in pyproject.toml is widened, the tests have to pass with that version installed.
"""

import sys
from pathlib import Path

from ttc_rl.train.methods.trl_compat import USES, missing


def main() -> int:
    problems = [(m, problem) for m in USES for problem in missing(Path(sys.argv[1]), m)]
    for method, problem in problems:
        print(f"{method}: {problem}")
    print(f"{len(problems)} missing")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
