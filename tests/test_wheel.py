"""What the wheel installs: the tool, its harness and their data, and no folder called `eval`."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a wheel made from a copy of what git tracks: building leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
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
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*command, folder, folder / "tree"], check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def test_the_wheel_installs_no_package_called_eval(names: set[str]):
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"ttc_rl", "ttc_eval"}


def test_the_wheel_has_every_module_and_every_file_of_data(names: set[str]):
    data = ("*.py", "*.yaml", "*.jinja", "*.sh", "py.typed")
    for root in (ROOT / "ttc_rl", ROOT / "eval" / "ttc_eval"):
        paths = {path for pattern in data for path in root.rglob(pattern)}
        expected = {path.relative_to(root.parent).as_posix() for path in paths}
        assert expected <= names
    benchmarks = {path.name for path in (ROOT / "eval" / "benchmarks").glob("*.yaml")}
    assert {f"ttc_rl/benchmarks/{name}" for name in benchmarks} <= names
    recipes = ROOT / "recipes"
    shipped = {path.relative_to(recipes).as_posix() for path in recipes.rglob("*.yaml")}
    assert {f"ttc_rl/recipes/{name}" for name in shipped} <= names
