"""A key that a method does not read: refused beside it, dropped where the method was changed."""

from pathlib import Path

import pytest
from json_schema import mistakes
from refusals import refusal
from ruamel.yaml import YAML

from ttc_rl.config import Recipe, dump_recipe, load_recipe, with_keys
from ttc_rl.config.methods import ALL
from ttc_rl.selection import METHODS as SELECTING
from ttc_rl.stages.policies import POLICIES
from ttc_rl.stages.sweep import cells
from ttc_rl.train.curriculum.choose import CURRICULA
from ttc_rl.train.methods import METHODS as TRAINING

MINIMAL = "model: m\ncorpus: c.jsonl\ntarget: aime25\n"
SCHEMA = Recipe.model_json_schema()


def write(folder: Path, text: str, name: str = "r.yaml") -> Path:
    path = folder / name
    path.write_text(MINIMAL + text if "extends" not in text else text)
    return path


def test_the_tables_name_methods_and_keys_that_exist():
    selection, curriculum, training, policy = ALL
    assert set(selection.names) == set(SELECTING)
    assert set(curriculum.names) == {"static", *CURRICULA}
    assert set(training.names) == set(TRAINING)
    assert set(policy.names) == set(POLICIES)
    for methods in ALL:
        assert set(methods.readers) <= set(methods.section.model_fields)
        for names in methods.readers.values():
            assert set(names) <= {*methods.names, "module:name"}


def test_a_key_beside_a_method_that_ignores_it_is_refused_with_its_line(tmp_path: Path):
    path = write(tmp_path, "selection:\n  method: random\n  less: {pool: 480}\n")
    assert refusal(path) == (
        f"{path}:6: selection.less: belongs to selection.method less; "
        "random would ignore it: leave it out"
    )
    path = write(tmp_path, "train:\n  curriculum: {method: discover, candidates: 3}\n")
    assert refusal(path) == (
        f"{path}:5: train.curriculum.candidates: belongs to train.curriculum.method achievable and "
        "beta and module:name; discover would ignore it: leave it out"
    )


@pytest.mark.parametrize(
    ("text", "overrides", "key"),
    [
        ("selection: {group_by: level}\n", [], "selection.group_by"),  # sift when left out
        ("", ["selection.method=nearest", "selection.repeat=true"], "selection.repeat"),
        ("selection: {method: qp}\n", ["selection.stop.adaptive=0.3"], "selection.stop"),
        ("train: {curriculum: {every: 3}}\n", [], "train.curriculum.every"),
        ("arms: {a: {selection: {method: random, repeat: true}}}\n", [], "arms.a.selection.repeat"),
        ("selection: {repeat: true}\narms: {a: {selection: {method: random}}}\n", [],
         "selection.repeat"),
        ("arms: {a: {train: {curriculum: {band: [0.1, 0.2]}}}}\n", [],
         "arms.a.train.curriculum.band"),
        ("sweep: {selection.less.pool: [10, 20]}\n", [], "sweep.selection.less.pool"),
        ("sweep: {selection: [{method: random, repeat: true}]}\n", [], "sweep.selection"),
    ],
)  # fmt: skip
def test_it_is_refused_wherever_it_is_written(
    tmp_path: Path, text: str, overrides: list[str], key: str
):
    said = refusal(write(tmp_path, text), *overrides)
    assert f": {key}: belongs to " in said


def test_what_is_inherited_is_dropped_where_the_method_is_changed(tmp_path: Path):
    write(tmp_path, "selection: {method: less, less: {pool: 480}}\n", "parent.yaml")
    child = write(tmp_path, "extends: parent.yaml\nselection: {method: random}\n", "child.yaml")
    plain = load_recipe(write(tmp_path, "selection: {method: random}\n"))
    assert load_recipe(child) == plain
    assert load_recipe(tmp_path / "parent.yaml", ["selection.method=random"]) == plain
    more = write(tmp_path, "extends: parent.yaml\nselection: {less: {samples: 4}}\n", "more.yaml")
    assert load_recipe(more).selection.less.pool == 480


def test_an_arm_drops_what_it_inherits_and_does_not_read(tmp_path: Path):
    text = "selection: {repeat: true}\narms: {a: {selection: {method: random}}, b: {}}\n"
    recipe = load_recipe(write(tmp_path, text))
    assert recipe.selection.repeat
    assert not recipe.arm("a").selection.repeat
    assert recipe.arm("b").selection.repeat
    changed = load_recipe(write(tmp_path, text), ["arms.b=null"])
    assert not changed.selection.repeat
    of_arm = write(tmp_path, "arms: {a: {selection: {method: less, less: {pool: 9}}}}\n")
    assert load_recipe(of_arm, ["arms.a.selection.method=qp"]).arms == {
        "a": {"selection": {"method": "qp"}}
    }


def test_a_change_of_another_key_does_not_hide_a_mistake(tmp_path: Path):
    text = "selection: {repeat: true}\narms: {a: {selection: {method: random}}}\n"
    assert "selection.repeat: belongs" in refusal(write(tmp_path, text), "arms.a.train.epochs=2")
    text = "arms: {a: {selection: {method: random, repeat: true}}}\n"
    assert "a.selection.repeat: belongs" in refusal(write(tmp_path, text), "arms.a.train.epochs=2")


def test_each_run_of_a_sweep_keeps_what_its_method_reads(tmp_path: Path):
    text = "selection: {repeat: true}\nsweep: {selection.method: [sift, random]}\n"
    recipe = load_recipe(write(tmp_path, text))
    assert [cell.selection.repeat for _, cell in cells(recipe)] == [True, False]
    for _, cell in cells(recipe):
        path = tmp_path / "cell.yaml"
        path.write_text(dump_recipe(cell))
        assert load_recipe(path) == cell
    assert not with_keys(recipe, {"sweep": {}, "selection.method": "qp"}).selection.repeat


def test_a_recipe_written_out_with_every_key_still_opens(tmp_path: Path):
    everything = (
        "selection: {method: random, repeat: false, group_by: family, difficulty: {samples: 8},\n"
        "  less: {labels: majority, features: 8192}}\n"
        "train: {curriculum: {method: static, band: [0.25, 0.6], candidates: 1000}}\n"
    )
    plain = load_recipe(write(tmp_path, "selection: {method: random}\n"))
    assert load_recipe(write(tmp_path, everything)) == plain


def test_what_a_run_keeps_opens_though_it_holds_a_key_that_was_ignored(tmp_path: Path):
    path = write(tmp_path, "selection: {method: random, repeat: true}\n")
    assert not load_recipe(path, of_run=True).selection.repeat


def test_a_method_of_the_users_own_reads_what_a_problem_holds(tmp_path: Path):
    own = write(tmp_path, "selection: {method: 'm:f', group_by: level}\n")
    assert load_recipe(own).selection.group_by == "level"
    assert "belongs to" in refusal(write(tmp_path, "selection: {method: 'm:f', repeat: true}\n"))


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("selection: {method: random, less: {pool: 3}}", 1),
        ("selection: {method: less, less: {pool: 3}}", 0),
        ("selection: {less: {pool: 3}}", 0),  # no method is written: see the arms
        ("selection: {method: sift, less: {pool: 3}}\narms: {a: {selection: {method: less}}}", 0),
        ("train: {curriculum: {method: static, every: 3}}", 1),
        ("train: {curriculum: {method: 'my:Own', every: 3}}", 0),
    ],
)
def test_the_schema_knows_it(text: str, refused: int):
    tree = YAML(typ="safe", pure=True).load(MINIMAL + text)
    assert len(list(mistakes(tree, SCHEMA, SCHEMA))) == refused
