# ruff: noqa: T201
"""2,000 hostile programs in a row through each sandbox that works here, and what they leave.

    python tests/benchmarks/hostile.py [COUNT]

Prints seconds and leftovers: processes, files, descriptors, memory. Takes about 10 minutes.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hostile_row import leftovers

from ttc_rl.verifiers.sandbox import Sandbox, probe

if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for status in probe():
        if status.works and Sandbox(status.name).confines:
            began = time.monotonic()
            found = leftovers(Sandbox(status.name), count)
            seconds = time.monotonic() - began
            print(
                f"{status.name}: {count} programs, {seconds:.0f} s, left over: {found or 'nothing'}"
            )
