"""What several tests share: where the real data is, and a run small enough to be made twice."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from logged import logged

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
ROOT = Path(__file__).parent.parent
# The tool takes TTC_RL_DATA as the default of `data`; a test names the folder where it needs it.
os.environ["TTC_RL_TEST_DATA"] = os.environ.pop("TTC_RL_DATA", str(ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """A folder with corpus/ and benchmarks/; tests on real records are skipped without one."""
    folder = Path(os.environ["TTC_RL_TEST_DATA"])
    if not (folder / "corpus").is_dir():
        pytest.skip(f"no task data at {folder}; set TTC_RL_DATA")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of embeddings and base models for the whole session, apart from the user's."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["TTC_RL_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The run of tests/tiny.yaml, from its corpus to its report."""
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    command = [sys.executable, "-m", "ttc_rl", "run", str(ROOT / "tests" / "tiny.yaml")]
    done = subprocess.run(
        [*command, "--run-dir", str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sift" in done.stdout
    return folder


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The lines that the tool logs during a test."""
    lines: list[str] = []
    with logged(lines.append):
        yield lines
