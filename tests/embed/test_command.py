"""`ttc-rl embed` as a user meets it, on the embedded default: no data, no network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ttc_rl.cli.app import main
from ttc_rl.config import load_recipe
from ttc_rl.embed import embed, open_shards
from ttc_rl.schema import UserError
from ttc_rl.stages.embedding import Ahead, slurm_options

RECIPE = """
model: {pretrain: {skills: null, layers: 1}}
corpus: {skills: {tasks_per_family: 1, families: [cipher, ends], split: train}}
target: skills/cipher
embed: {model: policy, kind_sentence: true}
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTC_RL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tasks(tmp_path: Path) -> str:
    path = tmp_path / "tasks.jsonl"
    rows = [{"kind": "math", "prompt": f"{n} + 1", "gold": str(n + 1)} for n in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def ttc_rl(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    sys.argv = ["ttc-rl", *arguments]
    with pytest.raises(SystemExit):
        main()
    both = capsys.readouterr()
    return both.out + both.err


def test_a_source_goes_into_the_cache_once(capsys, tasks: str):
    said = ttc_rl(capsys, "embed", tasks, 'embed.prompt="query: "')
    assert "embedding 5 of 5 texts" in said
    assert "5 tasks x 384 dimensions are in the cache" in said
    assert "embedding" not in ttc_rl(capsys, "embed", tasks, 'embed.prompt="query: "')
    assert "embedding 5 of 5 texts" in ttc_rl(capsys, "embed", tasks)


def test_a_folder_holds_the_corpus_in_its_order(capsys, tasks: str, tmp_path: Path):
    said = ttc_rl(capsys, "embed", tasks, "--out", str(tmp_path / "out"))
    assert "5 rows in 1 shards" in said
    assert open_shards(tmp_path / "out").shape == (5, 384)


def test_a_recipe_is_embedded_by_its_own_model(tmp_path: Path, said: list[str]):
    (tmp_path / "r.yaml").write_text(RECIPE)
    ahead = Ahead.parse([str(tmp_path / "r.yaml"), "embed.batch=2"], None)
    ahead.into_folder(tmp_path / "out")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert (manifest["model"], manifest["dimensions"]) == ("policy", 64)
    assert "kind {kind}" in manifest["kind_sentence"]
    recipe = load_recipe(tmp_path / "r.yaml", [f"embed.shards={tmp_path / 'out'}"])
    from ttc_rl.corpus.sources import load_corpus

    said.clear()
    embed(load_corpus(recipe.corpus).tasks, recipe.embed, policy=ahead.policy)
    assert not said


def test_a_run_selects_by_its_own_model(capsys, tmp_path: Path):
    (tmp_path / "r.yaml").write_text(RECIPE)
    keys = ["corpus={skills: {tasks_per_family: 40, families: [cipher, ends]}}", "selection.size=3"]
    said = ttc_rl(
        capsys, "select", str(tmp_path / "r.yaml"), *keys, "--run-dir", str(tmp_path / "run")
    )
    assert "of 80 texts with policy" in said
    assert len((tmp_path / "run/curriculum.jsonl").read_text().splitlines()) == 3


def test_the_scripts_for_slurm_are_shown(capsys, tasks: str, tmp_path: Path):
    slurm = ("--cluster", "slurm", "--slurm", "partition=gpu", "--slurm", "time=01:00:00")
    out = ("--out", str(tmp_path / "out"), "--tasks", "3")
    said = ttc_rl(capsys, "embed", tasks, *slurm, *out, "--dry-run")
    assert "#SBATCH --array=0-2" in said
    assert "launch_pickled_pipeline" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.yaml"], "nowhere.yaml: no such recipe"),
        (["a=b"], "name a recipe, or at least one source"),
        (["r.yaml", "math-12k"], "math-12k: a recipe names its sources itself"),
        (["TASKS", "embed.modl=x"], "embed.modl: unknown key; did you mean model?"),
        (["TASKS", "embed.model=policy"], "embed.model policy needs a recipe"),
        (["TASKS", "--cluster", "local"], "--cluster needs --out FOLDER"),
        (["TASKS", "--dry-run"], "--dry-run shows the scripts of --cluster slurm"),
        (["TASKS", "--cluster", "slurm", "--out", "o"], "needs --slurm partition="),
    ],
)
def test_a_mistake_is_one_line(capsys, tasks: str, arguments: list[str], says: str):
    arguments = [tasks if word == "TASKS" else word for word in arguments]
    said = ttc_rl(capsys, "embed", *arguments)
    assert says in said
    assert said.count("\n") == 1


def test_slurm_options_are_words_and_numbers():
    given = ["partition=gpu", "gpus_per_task=1", "workers=-1", "time=04:00:00"]
    assert slurm_options(given) == {
        "partition": "gpu", "gpus_per_task": 1, "workers": -1, "time": "04:00:00",
    }  # fmt: skip
    with pytest.raises(UserError, match="--slurm partition: write key=value"):
        slurm_options(["partition"])


def test_help_loads_nothing_heavy():
    code = "import sys, ttc_rl.cli.app; "
    code += "print([m for m in ('torch', 'datatrove') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
