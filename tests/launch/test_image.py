"""The sets of versions, and the image that is built from one: what they name is there and fits."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SETS = {"cpu": ["dev"], "cuda": ["train", "vllm", "cluster", "wandb"]}


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {str(canonicalize_name(package)): version for package, version in pairs}


def needed(extras: list[str]) -> list[Requirement]:
    """What the project asks for with these extras; an extra may name others."""
    wanted = [Requirement(line) for line in PROJECT["dependencies"]]
    for extra in extras:
        for line in PROJECT["optional-dependencies"][extra]:
            one = Requirement(line)
            wanted += needed(sorted(one.extras)) if one.name == "ttc-rl" else [one]
    return wanted


@pytest.mark.parametrize("name", SETS)
def test_a_set_pins_what_the_project_asks_for_and_names_no_index(name: str):
    text = (ROOT / "constraints" / f"{name}.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.!]*", line), line
    assert not re.search(r"https?:|file:|index-url|find-links", text)
    pinned = pins(name)
    for requirement in needed(SETS[name]):
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_both_sets_have_one_trl_and_the_gpu_set_the_newest_vllm_that_it_takes():
    assert pins("cpu")["trl"] == pins("cuda")["trl"]
    assert pins("cuda")["vllm"] == "0.31.0"
    assert "vllm" not in pins("cpu")


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_image_copies_what_is_there_and_installs_a_set():
    steps = instructions()
    assert steps[0][0] == "FROM"
    assert {name for name, _ in steps} <= {"FROM", "RUN", "WORKDIR", "COPY", "CMD"}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name, words in steps:
        for source in shlex.split(words)[:-1] if name == "COPY" else []:
            assert (ROOT / source).exists(), source
            assert f"!{Path(source).parts[0]}" in ignored, source
    pips = [shlex.split(words) for name, words in steps if words.startswith("pip ")]
    first, second = pips
    assert (ROOT / first[-1]).exists()
    assert second[-3:] == ["--no-deps", "--editable", "."]
    copied = [i for i, (name, words) in enumerate(steps) if words.startswith(first[-1])]
    assert copied[0] < steps.index(("RUN", shlex.join(first)))
