"""What a user adds in a folder of their own: the walks of docs/extending.md, done as they stand."""

import html
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError, create_model
from ruamel.yaml import YAML
from safetensors.numpy import load_file

from ttc_rl.config import Recipe, load_recipe, merge
from ttc_rl.corpus.benchmarks import load_benchmark, target_name
from ttc_rl.corpus.sources import load_corpus
from ttc_rl.run_dir import RunDir, read_json, read_jsonl
from ttc_rl.schema import UserError
from ttc_rl.stages.job import starting_model
from ttc_rl.stages.own_code import check_own_code
from ttc_rl.train.curriculum import read_pool

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EMBEDDINGS = "model.embed_tokens.weight"


def recipe_of_the_page() -> dict[str, Any]:
    """Return tests/tiny.yaml, without its arms, and all the lines for `recipe.yaml`."""
    recipe: dict[str, Any] = {
        "extends": str(ROOT / "tests" / "tiny.yaml"),
        "arms": {"random": None, "sift": None},
    }
    for name, text in BLOCKS:
        if name == "recipe.yaml":
            recipe = merge(recipe, YAML(typ="safe", pure=True).load(text))
    return recipe


def write(path: Path, recipe: dict[str, Any]) -> Path:
    """Write a recipe; return its path."""
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(recipe, file)
    return path


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a recipe beside every file of the page; its folder is the working folder."""
    for name, text in BLOCKS:
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "recipe.yaml", recipe_of_the_page())


def tool(*arguments: str | Path, folder: Path) -> str:
    """Run Python in a folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        timeout=300, env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_encoder(folder: Path) -> None:
    """Make the encoder of the page, which the recipe names."""
    tool("words.py", folder=folder)


def test_every_walk_is_tried():
    headings = re.findall(r"^## (.*)", PAGE, re.MULTILINE)
    assert headings == [
        "Rows of your own shape", "A kind of task", "An embedding model", "A selector",
        "A curriculum", "A reward", "A training method", "A policy", "A benchmark",
        "A section of the report", "A key of the recipe",
    ]  # fmt: skip
    assert re.findall(r"^\| \[.*?\]\(#(.*?)\)", PAGE, re.MULTILINE) == [
        heading.lower().replace(" ", "-") for heading in headings
    ]
    assert len(BLOCKS) == 21


def test_all_walks_in_one_run(recipe: Path, cache: Path):
    folder, path = recipe.parent, recipe.parent / "run"
    make_encoder(folder)
    tool("-m", "ttc_rl", "run", recipe, "--run-dir", path, folder=folder)
    run = RunDir(path)
    arm = run.arm("thirds", load_recipe(recipe))

    # the rows, and the embedding model
    corpus = load_corpus(load_recipe(recipe).corpus, None, ["loose"]).tasks
    assert [(task.prompt, task.gold, dict(task.meta)) for task in corpus[-2:]] == [
        ("count a b a a", "2", {"grade": "easy"}), ("sort c a b", "a b c", {"grade": "hard"}),
    ]  # fmt: skip
    manifests = [read_json(file) for file in cache.glob("embeddings/*/manifest.json")]
    assert any(about["model"] == "words" for about in manifests)

    # the selector, the curriculum and the reward
    assert [row["index"] for row in read_jsonl(arm.curriculum)] == list(range(0, 45, 3))
    assert read_json(arm.selection)["method"] == "thirds:every_third"
    rows = [row for file in arm.rollouts.glob("*") for row in pq.read_table(file).to_pylist()]
    assert {round(row["reward"], 6) for row in rows} <= {0.0, 0.1, 1.0}
    pool = [task.id for task in read_pool(arm).tasks]
    first = pq.read_table(arm.rollouts / "step-00001-0.parquet").to_pylist()
    assert {row["task_id"] for row in first} == set(pool[-4:])

    # the training method: the embeddings are the base model's, the other weights are not
    base = load_file(Path(starting_model(load_recipe(recipe))) / "model.safetensors")
    model = load_file(arm.model / "model.safetensors")
    changed = {name for name in model if (model[name] != base[name]).any()}
    assert EMBEDDINGS in model
    assert changed
    assert EMBEDDINGS not in changed

    # the policy: the base model, colder, in an arm that trains nothing
    drawn = [
        [row["completion"] for row in read_jsonl(run.samples("riddles", name))]
        for name in ("base", "cool")
    ]
    assert len(set(drawn[1])) < len(set(drawn[0]))
    assert not run.arm("cool", load_recipe(recipe)).model.exists()

    # the kind and the benchmark
    samples = list(read_jsonl(run.samples("riddles", "thirds")))
    golds = {task.id: task.gold for task in load_benchmark("riddles.yaml", kinds=["loose"]).tasks}
    assert len(samples) == 2 * 4
    assert all(row["correct"] == (golds[row["task_id"]] in row["completion"]) for row in samples)

    # the section of the report
    assert "Lengths" not in (path / "report.html").read_text(encoding="utf-8")
    tool("lengths.py", path, folder=folder)
    page = html.unescape((path / "report.html").read_text(encoding="utf-8"))
    prompts = [row["task"]["prompt"] for row in read_jsonl(arm.curriculum)]
    section = page.partition('id="lengths"')[2]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", section, re.DOTALL)
    shown = [re.sub(r"<.*?>", "", cell).strip() for cell in cells]
    assert shown[shown.index("thirds") :][:3] == ["thirds", "15", str(max(map(len, prompts)))]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("arms.thirds.selection.method", "thirds:every_forth", "did you mean every_third"),
        ("train.reward", "shot:short", "there is no module shot"),
        ("train.reward", "thirds:every_third", r"is no function of \(task, verdict\)"),
        ("train.curriculum.method", "short:short", "is no subclass of"),
        (
            "train.method",
            "frozen:make_trainer",
            r"recipe.yaml:\d+: train.method: .* is no .*Method",
        ),
        (
            "train.method",
            "frozen:METHODE",
            r"recipe.yaml:\d+: train.method: .* did you mean METHOD",
        ),
        ("verifiers.loose", "loose:chekc", "did you mean check"),
        ("arms.cool.policy.method", "cool:cold", "has no cold; did you mean cool"),
    ],
)
def test_what_cannot_be_used_is_one_line_before_the_run(
    recipe: Path, key: str, value: str, message: str
):
    changed = recipe_of_the_page()
    *sections, last = key.split(".")
    section = changed
    for name in sections:
        section = section[name]
    section[last] = value
    with pytest.raises(UserError, match=message):
        check_own_code(load_recipe(write(recipe, changed)))


def test_a_method_that_does_not_exist_is_told_in_its_place(recipe: Path):
    changed = merge(recipe_of_the_page(), {"train": {"method": "grop"}})
    with pytest.raises(
        UserError, match=r"recipe.yaml:\d+: train.method: no such name; did you mean"
    ):
        load_recipe(write(recipe, changed))


def test_a_benchmark_of_ones_own_has_parts_and_a_name(recipe: Path):
    part = load_benchmark("riddles.yaml@1", kinds=["loose"])
    assert (part.name, len(part.tasks), part.sampling.samples) == ("riddles@1", 1, 4)
    (recipe.parent / "other.jsonl").write_text('{"question": "?", "solution": "1"}\n')
    other = load_benchmark("riddles.yaml=other.jsonl", kinds=["loose"])
    assert (other.name, other.problems) == ("riddles", ("riddles.yaml: 1 tasks, 2 were published",))
    changed = load_recipe(recipe, ["target=riddles.yaml=other.jsonl"])
    assert target_name(changed.targets) == "riddles"
    shown = tool("-m", "ttc_rl", "benchmarks", "riddles.yaml", folder=recipe.parent)
    assert "two riddles about length" in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"^riddles.yaml: no such file"),
        ("description: [", r"^riddles.yaml:\d+: not readable as YAML: "),
        (
            "description: x\nsorce: {path: a}",
            r"^riddles.yaml: sorce: unknown key; did you mean source",
        ),
        ("description: x", r"^riddles.yaml: needs a source or a file$"),
        ("description: x\nfile: a\nsize: 0", r"^riddles.yaml: size: Input should be greater"),
    ],
)
def test_a_benchmark_file_that_cannot_be_used_is_one_line(
    recipe: Path, text: str | None, message: str
):
    path = recipe.parent / "riddles.yaml"
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        load_benchmark("riddles.yaml", kinds=["loose"])
    assert "\n" not in str(error.value)


def test_a_selector_that_gives_no_curriculum_is_told(recipe: Path, cache: Path):
    make_encoder(recipe.parent)
    (recipe.parent / "thirds.py").write_text("def every_third(problem):\n    return [0, 0]\n")
    command = [sys.executable, "-m", "ttc_rl", "select", recipe, "--run-dir", recipe.parent / "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith(
        "ttc-rl: selection.method: every_third gave 2 rows, such as [0, 0]: give at"
    )


def test_a_new_key_is_described_and_its_misspelling_refused(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(recipe.parent)
    section = importlib.import_module("pause").PauseConfig
    longer = create_model("Longer", __base__=Recipe, pause=(section, ...))
    given = {"model": "m", "corpus": "c", "target": "t", "pause": {"seconds": 2}}
    assert longer.model_validate(given).model_dump()["pause"] == {"seconds": 2.0}
    shown = longer.model_json_schema()["$defs"]["PauseConfig"]
    assert shown["description"] == "Settings of the pauses between steps."
    seconds = shown["properties"]["seconds"]
    assert seconds["description"] == "Seconds that the trainer waits after each step."
    for bad in ({"second": 2}, {"seconds": -1}):
        with pytest.raises(ValidationError):
            longer.model_validate(given | {"pause": bad})
