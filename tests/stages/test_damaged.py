"""A finished run whose files were cut, edited or overwritten: one line that names the file."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ttc_rl.cli.app import main

TINY = str(Path(__file__).parents[1] / "tiny.yaml")

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "30 bytes short": lambda content: content[:-30],
    "3 lines short": lambda content: b"".join(content.splitlines(keepends=True)[:-3]),
    "not UTF-8": lambda content: content[: len(content) // 2] + b"\xff\xfe" + content[20:],
    "another type": lambda content: b"[3]\n" if content[:1] == b"{" else b"{}\n",
    "a number": lambda content: b"3\n",
    "deep": lambda content: b"[" * 100_000 + b"\n",
    "edited": lambda content: re.sub(rb"[1-9]", b"8", content, count=3),
}
READ_BY_REPORT = [
    "arms/sift/curriculum.jsonl",
    "arms/sift/contamination.jsonl",
    "arms/sift/selection.json",
    "arms/sift/metrics.jsonl",
    "arms/sift/training.json",
    "arms/sift/rollouts/step-00003-0.parquet",
    "eval/count/base.json",
    "eval/count/sift.tasks.jsonl",
    "eval/count/base.samples.jsonl",
    "overlap.json",
    "overlap.jsonl",
    "corpus.json",
    "versions.json",
]


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(undisturbed, tmp_path / "run")


@pytest.fixture
def told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Exit code and standard error of a command."""

    def ask(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["ttc-rl", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        lines = capsys.readouterr().err.splitlines(keepends=True)
        errors = [line for line in lines if not line.startswith("[")]  # the others are progress
        return int(ended.value.code or 0), "".join(errors)

    return ask


@pytest.mark.parametrize("name", READ_BY_REPORT)
def test_a_report_does_not_believe_a_damaged_file(
    run: Path, told: Callable[..., tuple[int, str]], name: str
):
    path, wrong = run / name, list[str]()
    content = path.read_bytes()
    for how, change in DAMAGES.items():
        if change(content) == content:
            continue
        path.write_bytes(change(content))
        code, line = told("report", str(run))
        if code != 2 or str(path) not in line or line.count("\n") != 1:
            wrong.append(f"{how}: {code} {line!r}")
    assert wrong == []
    path.write_bytes(content)
    assert told("report", str(run))[0] == 0


@pytest.mark.parametrize(
    "name",
    [
        "eval/count/base.json",
        "eval/count/tasks.jsonl",
        "eval/count/base.samples.jsonl",
        "eval/count/base.greedy.samples.jsonl",
        "arms/sift/model/model.safetensors",
        "arms/sift/model/config.json",
        "arms/sift/model/tokenizer.json",
        "versions.json",
    ],
)
def test_an_evaluation_goes_on_from_whole_files_alone(
    run: Path, told: Callable[..., tuple[int, str]], name: str
):
    path, wrong = run / name, list[str]()
    content = path.read_bytes()
    for how in ("empty", "30 bytes short", "not UTF-8", "edited"):
        path.write_bytes(DAMAGES[how](content))
        code, line = told("eval", TINY, "--run-dir", str(run))
        drawn_again = name.endswith("samples.jsonl") and path.read_bytes() == content
        if (code, line) == (0, "") and drawn_again:
            continue
        if code != 2 or name.split("/")[-1] not in line or line.count("\n") != 1:
            wrong.append(f"{how}: {code} {line!r}")
    assert wrong == []


def test_a_training_does_not_believe_a_damaged_curriculum(
    run: Path, told: Callable[..., tuple[int, str]]
):
    arm = run / "arms" / "sift"
    shutil.rmtree(arm / "model")
    for name in ("curriculum.jsonl", "selection.json"):
        path, content = arm / name, (arm / name).read_bytes()
        for how in ("empty", "30 bytes short", "3 lines short", "not UTF-8", "edited"):
            path.write_bytes(DAMAGES[how](content))
            code, line = told("train", TINY, "--run-dir", str(run))
            assert (code, str(path) in line, line.count("\n")) == (2, True, 1), line
        path.write_bytes(content)
