import itertools
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from unsealed import unseal

from ttc_eval.compare.matrix import diagonal_test
from ttc_eval.compare.runs import compare, summary
from ttc_eval.compare.summary import in_order
from ttc_eval.harness.results import read_tasks
from ttc_eval.report.compare_opening import comparison_markdown, differing_table, opening
from ttc_eval.report.tables import points, share, summary_tables
from ttc_rl.metrics import Estimate, paired_difference, t_interval
from ttc_rl.schema import UserError

ARMS = {"base": {"sums": 0.1}, "sift": {"sums": 0.9}, "random": {"sums": 0.4}}


def gain(run: Any, arm: str, benchmark: str = "sums", base: str = "base") -> float:
    after, before = (values_of(run, model, "avg@4", benchmark) for model in (arm, base))
    return float((after - before).mean())


def values_of(run: Any, model: str, metric: str, benchmark: str = "sums") -> np.ndarray:
    """A metric's value on each task."""
    return np.array([row[metric] for row in read_tasks(run.result(benchmark, model))])


def test_arms_keep_their_order():
    mixed = ["zebra", "sift", "oracle", "base", "sift [a=1]", "random", "nearest", "ant"]
    assert in_order(mixed) == [
        *("base", "random", "nearest", "sift", "sift [a=1]", "oracle", "ant", "zebra")
    ]


def test_a_summary_holds_arms_and_paired_differences(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    part = summary(run, run.load_recipe()).benchmarks["sums"]
    assert list(part.models) == ["base", "random", "sift"]
    assert list(part.differences) == ["random - base", "sift - base", "sift - random"]
    values = {arm: values_of(run, arm, "maj@4") for arm in ARMS}
    expected = paired_difference(values["sift"], values["random"])
    found = part.differences["sift - random"]["maj@4"]
    assert (found.value, found.lo) == (expected.value, pytest.approx(expected.lo))


def test_results_on_other_tasks_are_not_compared(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    path = run.result("sums", "sift")
    unseal(path)
    held = path.read_text(encoding="utf-8")
    path.write_text(held.replace('"tasks_hash": "', '"tasks_hash": "beef'), encoding="utf-8")
    with pytest.raises(
        UserError, match=r"base.json and .*sift.json hold other tasks \(\w+ and beef"
    ):
        summary(run, run.load_recipe())


def test_seeds_are_the_unit_of_several_runs(make_run: Any, tmp_path: Path):
    runs = [make_run(tmp_path / f"r{seed}", "sums", seed, ARMS) for seed in (1, 2, 3)]
    part = compare(runs).targets["sums"]
    assert part.seeds == [1, 2, 3]
    expected = t_interval([gain(run, "sift", base="random") for run in runs])
    found = part.benchmarks["sums"].differences["sift - random"]["avg@4"]
    assert found.value == pytest.approx(expected.value)
    assert (found.lo, found.seeds) == (pytest.approx(expected.lo), 3)


def test_one_seed_falls_back_to_tasks(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    found = compare([run]).targets["sums"].benchmarks["sums"].differences
    within = summary(run, run.load_recipe()).benchmarks["sums"].differences
    for pair, metrics in within.items():
        for metric, estimate in metrics.items():
            assert asdict(found[pair][metric]) == pytest.approx(asdict(estimate) | {"seeds": 1})


def test_two_runs_of_one_arm_each_are_put_side_by_side(make_run: Any, tmp_path: Path):
    both = [
        make_run(tmp_path / arm, "sums", 1, {"base": {"sums": 0.1}, arm: {"sums": 0.5}})
        for arm in ("nearest", "sift")
    ]
    cells = compare(both).targets["sums"].benchmarks["sums"]
    assert list(cells.differences) == ["nearest - base", "sift - base", "sift - nearest"]


def test_a_sweep_is_told_apart_by_what_differs(make_run: Any, tmp_path: Path):
    runs = [
        make_run(tmp_path / f"n{size}", "sums", 1, ARMS, selection={"size": size})
        for size in (1, 10)
    ]
    cells = compare(runs).targets["sums"].benchmarks["sums"]
    assert "sift [selection.size=10]" in cells.models
    assert "sift [selection.size=10] - sift [selection.size=1]" in cells.differences
    assert "sift [selection.size=10] - random [selection.size=1]" not in cells.differences


def models_of(runs: list[Any]) -> dict[str, int]:
    """Model -> seeds that its row holds."""
    cells = compare(runs).targets["sums"].benchmarks["sums"].models
    return {name: found["avg@4"].seeds for name, found in cells.items()}


def test_only_equal_recipes_pool_as_seeds(make_run: Any, tmp_path: Path):
    """Run of 240 picks with seed 0, run of 40 picks with seed 1: no two seeds of one thing."""

    def made(name: str, seed: int, **keys: Any) -> Any:
        return make_run(tmp_path / name, "sums", seed, ARMS, **keys)

    first = made("a", 0, selection={"size": 240})
    other = made("b", 1, selection={"size": 40})
    assert models_of([first, other]) == {
        "base": 2,
        **{f"random [selection.size={n}]": 1 for n in (240, 40)},
        **{f"sift [selection.size={n}]": 1 for n in (240, 40)},
    }
    free = made("c", 1, selection={"size": 240}, train={"micro_batch": 4}, track={"project": "x"})
    assert models_of([first, free]) == {"base": 2, "random": 2, "sift": 2}
    warm = made("d", 1, selection={"size": 240}, eval={"temperature": 0.5})
    assert models_of([first, warm])["base [eval.temperature=0.5]"] == 1


def test_a_key_of_one_arm_makes_variants_of_that_arm_alone(make_run: Any, tmp_path: Path):
    def made(seed: int, noise: float) -> Any:
        arms = {"random": {}, "sift": {"selection": {"noise": noise}}}
        return make_run(tmp_path / f"s{seed}", "sums", seed, ARMS, arms=arms)

    assert models_of([made(0, 0.1), made(1, 0.2)]) == {
        "base": 2,
        "random": 2,
        "sift [arms.sift.selection.noise=0.1]": 1,
        "sift [arms.sift.selection.noise=0.2]": 1,
    }


def test_a_long_difference_is_a_letter_with_a_legend(make_run: Any, tmp_path: Path):
    def made(seed: int, **selection: Any) -> Any:
        return make_run(tmp_path / f"s{seed}", "sums", seed, ARMS, selection=selection)

    runs = [
        made(0, size=240, noise=0.1),
        made(1, size=40, noise=0.25),
        made(2, size=40, noise=0.25),
    ]
    assert models_of(runs)["sift [A]"] == 1
    assert models_of(runs)["sift [B]"] == 2
    found = compare(runs)
    assert found.variants["B"] == "selection.size=40, selection.noise=0.25"
    assert "| B | selection.size=40, selection.noise=0.25 |" in comparison_markdown(found)
    assert "1 to 3 seeds" in comparison_markdown(found)


def test_letters_are_given_in_the_order_of_the_models(make_run: Any, tmp_path: Path):
    def made(layers: int) -> Any:
        model = {"pretrain": {"layers": layers, "max_steps": 100_000_000}}
        arms = {"random": {"train": {"epochs": layers}}, "sift": {"selection": {"size": layers}}}
        return make_run(tmp_path / f"{layers}", "sums", 1, ARMS, model=model, arms=arms)

    models = compare([made(1), made(2)]).targets["sums"].benchmarks["sums"].models
    assert set(models) == {
        *("base [A]", "random [B]", "sift [C]", "base [D]", "random [E]", "sift [F]")
    }


def test_two_runs_of_one_recipe_and_seed_are_told_apart(make_run: Any, tmp_path: Path):
    runs = [make_run(tmp_path / name, "sums", 1, ARMS) for name in ("once", "again")]
    found = compare(runs)
    assert str(tmp_path / "again") in found.variants.values()
    assert models_of(runs)["sift [B]"] == 1


def test_intervals_of_shares_stay_between_0_and_100(make_run: Any, tmp_path: Path):
    skills = [{"base": {"sums": s}, "sift": {"sums": 1 - s}} for s in (0.0, 0.7)]
    runs = [make_run(tmp_path / f"s{i}", "sums", i, skill) for i, skill in enumerate(skills)]
    cells = compare(runs).targets["sums"].benchmarks["sums"]
    base, pair = cells.models["base"]["avg@4"], cells.differences["sift - base"]["avg@4"]
    assert (base.lo, base.hi) == (0.0, 1.0)
    assert pair.lo < -1


def study(make_run: Any, tmp_path: Path) -> list[Any]:
    """Three targets, two seeds; every curriculum helps its own target and hurts the others."""
    targets = ("sums", "twos", "tens")
    return [
        make_run(
            tmp_path / f"{target}-{seed}",
            target,
            seed,
            {
                "base": dict.fromkeys(targets, 0.4),
                "sift": {name: 0.95 if name == target else 0.1 for name in targets},
            },
        )
        for target, seed in itertools.product(targets, (1, 2))
    ]


def test_a_study_has_a_mean_over_targets_and_a_matrix(make_run: Any, tmp_path: Path):
    runs = study(make_run, tmp_path)
    found = compare(runs)
    names = ["sums", "sums", "twos", "twos", "tens", "tens"]
    own = [gain(run, "sift", name) for run, name in zip(runs, names, strict=True)]
    by_seed = [float(np.mean(own[0::2])), float(np.mean(own[1::2]))]
    overall = found.overall.differences["sift - base"]["avg@4"]
    assert overall.value == pytest.approx(np.mean(own))
    assert overall.lo == pytest.approx(t_interval(by_seed).lo)
    matrix = found.matrix["sift"]
    assert matrix.gain[0][0] == pytest.approx(np.mean(own[:2]))
    assert matrix.diagonal_minus_rest > 0.5
    assert matrix.p_value == pytest.approx(1 / 6)
    retained = found.targets["sums"].retention["sift"]
    others = [np.mean([gain(run, "sift", n) for run in runs[:2]]) for n in ("twos", "tens")]
    assert retained.mean.value == pytest.approx(np.mean(others))
    assert retained.worst_change.value == pytest.approx(min(others))


def test_a_target_seen_by_one_seed_only_does_not_shift_the_mean(make_run: Any, tmp_path: Path):
    runs = study(make_run, tmp_path)[:-1]  # `tens` has seed 1 only
    overall = compare(runs).overall.models["sift"]["avg@4"]
    assert (overall.seeds, overall.lo) == (1, None)


def test_the_diagonal_test_matches_shuffling_by_hand():
    gain_TT = np.random.default_rng(3).random((4, 4))
    gain_TT[np.diag_indices(4)] += 0.3

    def statistic(matrix: np.ndarray) -> float:
        return float(np.diag(matrix).mean() - matrix[~np.eye(4, dtype=bool)].mean())

    shuffled = [statistic(gain_TT[list(p)]) for p in itertools.permutations(range(4))]
    expected = np.mean([s >= statistic(gain_TT) - 1e-12 for s in shuffled])
    found = diagonal_test(gain_TT)
    assert found == (pytest.approx(statistic(gain_TT)), pytest.approx(expected))


def test_many_targets_are_shuffled_at_random():
    statistic, p_value = diagonal_test(np.eye(9))
    assert statistic == 1.0
    assert 0 < p_value < 0.001


def test_estimates_read_as_percent_and_points():
    assert share(Estimate(0.417, 0.331, 0.502)) == "41.7 [33.1, 50.2]"
    assert points(Estimate(0.052, -0.011, 0.093)) == "+5.2 [-1.1, +9.3]"
    assert share(Estimate(0.5, None, None)) == "50.0 [n/a]"
    assert points(Estimate(-0.0, None, None)) == "+0.0 [n/a]"


def test_tables_hold_every_arm_in_the_terminal_and_in_markdown(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    tables = summary_tables(summary(run, run.load_recipe()))
    console = Console(file=StringIO(), width=200)
    for table in tables:
        console.print(table)
    assert isinstance(console.file, StringIO)
    for text in (console.file.getvalue(), "\n".join(table.markdown() for table in tables)):
        assert "sift - random" in text
        assert "12 tasks x 4 samples" in text


def test_a_study_renders_its_matrix(make_run: Any, tmp_path: Path):
    text = comparison_markdown(compare(study(make_run, tmp_path)))
    assert "mean over 3 targets" in text
    assert "p = 0.167 over shuffled row labels" in text
    assert "2 seeds, interval over seeds" in text


def test_a_run_without_results_is_named(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, {})
    with pytest.raises(UserError, match="holds no results yet"):
        compare([run])


def test_what_score_left_in_a_run_folder_is_no_model(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    for path in (tmp_path / "r" / "eval" / "sums").glob("sift.*"):
        again = path.with_name(path.name.replace("sift.", "sift.rescored.", 1))
        again.write_bytes(path.read_bytes())
    assert run.models("sums") == ["base", "random", "sift"]
    assert set(models_of([run])) == {"base", "random", "sift"}


def test_nothing_varied_so_what_could_be_resolved_is_not_known(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, {"base": {"sums": 1.0}, "sift": {"sums": 1.0}})
    table = summary_tables(summary(run, run.load_recipe()))[1]
    assert table.note.endswith("12 tasks x 4 samples can resolve is not known: nothing varied")
    assert "0.0 points" not in table.note


def test_a_comparison_says_what_its_seeds_can_resolve(make_run: Any, tmp_path: Path):
    runs = [make_run(tmp_path / f"s{seed}", "sums", seed, ARMS) for seed in (1, 2, 3)]
    found = compare(runs)
    gains = [gain(run, "sift") for run in runs]
    power = found.targets["sums"].benchmarks["sums"].power["sift - base"].resolvable
    assert power == pytest.approx((4.30265 + 1.06066) * np.std(gains, ddof=1) / 3**0.5, rel=1e-3)
    assert "Holm over the 3 differences of a column; 3 seeds can resolve " in comparison_markdown(
        found
    )
    one = comparison_markdown(compare(runs[:1]))
    assert "; 12 tasks x 4 samples can resolve " in one


def test_a_comparison_opens_with_its_news(make_run: Any, tmp_path: Path):
    runs = [make_run(tmp_path / f"s{seed}", "sums", seed, ARMS) for seed in (1, 2, 3)]
    found = compare(runs)
    cell = found.targets["sums"].benchmarks["sums"].differences["sift - random"]["avg@4"]
    assert opening(found) == [
        f"sift - random is {points(cell)} points of avg@4, on sums (3 seeds).",
        "base is m, before training.",
    ]
    assert comparison_markdown(found).startswith("sift - random is")


def test_a_difference_that_is_not_resolved_is_no_news(make_run: Any, tmp_path: Path):
    same = {"base": {"sums": 0.1}, "a": {"sums": 0.5}, "b": {"sums": 0.5}, "c": {"sums": 0.5}}
    found = compare([make_run(tmp_path / "r", "sums", 1, same)])
    assert opening(found)[0].startswith("None of 3 differences between arms is resolved; the ")


def test_a_comparison_of_one_model_says_what_it_scored(make_run: Any, tmp_path: Path):
    found = compare([make_run(tmp_path / "r", "sums", 1, {"base": {"sums": 1.0}})])
    assert opening(found)[0].startswith("base scores 100.0")
    assert opening(found)[0].endswith("there is nothing to compare it with.")


def test_a_comparison_says_in_what_the_recipes_differ(make_run: Any, tmp_path: Path):
    runs = [
        make_run(tmp_path / f"r{seed}-{size}", "sums", seed, ARMS, selection={"size": size})
        for seed, size in itertools.product((1, 2), (20, 40))
    ]
    found = compare(runs)
    assert found.differing == {"seed": ["1", "1", "2", "2"], "selection.size": ["20", "40"] * 2}
    (table,) = differing_table(found)
    assert table.rows[2] == ["selection.size", "20", f"{runs[0].root}, {runs[2].root}"]
    assert compare(runs[:1]).differing == {}
