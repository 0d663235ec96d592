"""What is published: a wheel and an sdist with the tool, its harness, their data and recipes."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy of what git tracks, for building leaves files behind; the wheel is built
    from the sdist."""
    folder = tmp_path_factory.mktemp("built")
    archive = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if archive.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in archive.stdout.split("\0") if name]
    for path in paths:
        if path.is_file() or path.is_symlink():
            copy = folder / "tree" / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                copy.symlink_to(path.readlink())
            else:
                copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, folder / "tree"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def names(built: Path) -> set[str]:
    """Return the files of the wheel."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


@pytest.fixture(scope="module")
def metadata(built: Path) -> Message:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(wheel.read(name).decode())


def data_files() -> set[str]:
    """Return the files, other than modules, that the tool reads where it is installed."""
    found: set[str] = set()
    for root in (ROOT / "ttc_rl", ROOT / "eval" / "ttc_eval"):
        paths = {p for kind in ("*.yaml", "*.jinja", "*.sh", "py.typed") for p in root.rglob(kind)}
        found |= {path.relative_to(root.parent).as_posix() for path in paths}
    for folder in ("recipes", "eval/benchmarks"):
        for path in (ROOT / folder).rglob("*.yaml"):
            inside = path.relative_to(ROOT / folder).as_posix()
            found.add(f"ttc_rl/{Path(folder).name}/{inside}")
    return found


def test_the_wheel_installs_no_package_called_eval(names: set[str]):
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"ttc_rl", "ttc_eval"}


def test_the_wheel_has_every_module_and_every_file_of_data(names: set[str]):
    for root in (ROOT / "ttc_rl", ROOT / "eval" / "ttc_eval"):
        assert {path.relative_to(root.parent).as_posix() for path in root.rglob("*.py")} <= names
    data = data_files()
    assert {"ttc_rl/recipes/quickstart.yaml", "ttc_rl/benchmarks/aime25.yaml"} < data
    assert "ttc_eval/report/page.html.jinja" in data
    assert data <= names


def test_the_sdist_has_what_the_wheel_is_made_of(built: Path):
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    data = {name.replace("ttc_eval/", "eval/ttc_eval/", 1) for name in data_files()}
    assert {"pyproject.toml", "README.md", "LICENSE", *data} <= names


def test_the_metadata_says_what_the_project_file_says(metadata: Message):
    assert metadata["Name"] == "ttc-rl"
    assert metadata["Summary"] == PROJECT["description"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_all("Classifier") == PROJECT["classifiers"]
    assert metadata["Keywords"].split(",") == PROJECT["keywords"]
    assert set(metadata.get_all("Provides-Extra") or ()) == set(PROJECT["optional-dependencies"])
    assert metadata["Description-Content-Type"] == "text/markdown"
    pythons = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    workflow = (ROOT / ".github" / "workflows" / "tests.yaml").read_text(encoding="utf-8")
    assert all(f'"{version}"' in workflow for version in pythons)
