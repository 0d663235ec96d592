import html
import itertools
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unsealed import unseal

from ttc_eval.compare import Spending, analyse, equal_compute
from ttc_eval.compare.behind import over_control, verification_gap
from ttc_eval.compare.diversity import distinct_at_k, entropy
from ttc_eval.compare.equal_compute import break_even
from ttc_eval.compare.latent import latent
from ttc_eval.compare.spending import num_parameters
from ttc_eval.compare.summary import summary
from ttc_eval.records import (
    Analysis,
    ArmCompute,
    Compute,
    Curve,
    Point,
    Refused,
    read_summary,
    write_record,
)
from ttc_eval.report.material import Material, read_material
from ttc_eval.report.run_page import write_page
from ttc_eval.report.sections.analysis import analysis
from ttc_rl.run_dir import read_json, read_jsonl, write_jsonl

N = 8


def task(votes: list[tuple[int, bool]], **keys: Any) -> dict[str, Any]:
    votes = [(size, right) for size, right in votes if size]
    correct = sum(size for size, right in votes if right)
    return {
        "correct": correct,
        "answered": sum(size for size, _ in votes),
        "votes": votes,
        "texts": len(votes),
        "similarity": 0.5,
        f"avg@{N}": correct / N,
    } | keys


def test_latent_bounds_by_hand():
    before = [task([(2, True), (4, False)])] * 5  # a = 1/4, w = 3/4
    after = [task([(6, True), (2, False)])] * 5  # a = 3/4, w = 1
    found = latent(before, after, N)
    assert found.lower.value == pytest.approx(3 / 4 - 1 / 3)
    assert found.upper.value == pytest.approx(3 / 4 - 1 / 4)


def test_a_pure_format_gain_has_a_lower_bound_of_nothing():
    """A quarter cannot be read before, all can after; skill is the same."""
    rng = np.random.default_rng(0)
    skill = rng.beta(2, 2, 400)
    before = [task([(int(rng.binomial(6, p)), True)], answered=6) for p in skill]
    after = [task([(int(rng.binomial(8, p)), True)], answered=8) for p in skill]
    found = latent(before, after, N)
    assert found.upper.lo > 0.05
    assert found.lower.lo < 0 < found.lower.hi < 0.05


def test_latent_is_refused_where_half_cannot_be_read():
    found = latent([task([(3, True)])], [task([(8, True)])], N)
    assert found.lower is None
    assert "in before 38% of the samples" in found.refused


def test_distinct_at_k_matches_counting_every_subset():
    sizes, silent = [3, 2, 1], 2
    samples = [i for i, size in enumerate(sizes) for _ in range(size)] + [None] * silent
    for k in range(1, 9):
        subsets = itertools.combinations(samples, k)
        expected = np.mean([len(set(s) - {None}) for s in subsets])
        assert distinct_at_k(sizes, 8, k) == pytest.approx(expected)


def test_entropy_in_bits():
    assert entropy([2, 2, 2, 2]) == pytest.approx(2.0)
    assert entropy([8]) == entropy([]) == 0.0


def test_a_planted_verifier_has_the_gap_it_was_given():
    rows = [
        task([(3, True), (5, False)], **{f"best@{N}": 1.0}),
        task([(6, True), (2, False)], **{f"best@{N}": 0.0}),
    ] * 10
    found = verification_gap(rows, N)
    assert found.plain == pytest.approx(9 / 16)
    assert found.majority.after == pytest.approx(0.5)
    assert found.majority.gap.value == pytest.approx(-1 / 16)
    assert found.majority_reward is False
    assert found.confidence.relative == pytest.approx((0.5 - 9 / 16) / (7 / 16))


def test_the_majority_is_told_apart_from_nobody():
    found = verification_gap([task([]), task([(4, True), (4, False)])], N)
    assert found.majority.after == pytest.approx(0.25)


def test_gain_over_the_control_is_paired():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, 30)
    models = {
        "base": [task([(int(c), True)]) for c in counts],
        "form": [task([(int(c) + 2, True)]) for c in counts],
        "sift": [task([(int(c) + 4, True)]) for c in counts],
    }
    found = over_control(models, "form", ["sift"], N)
    assert found.gain.value == found.arms["sift"].value == pytest.approx(0.25)
    assert found.arms["sift"].lo > 0.1
    for controls in (["form"], []):
        whole = analyse(models, N, [1, 8], controls)
        assert isinstance(whole, Analysis)
        assert bool(whole.control) == bool(controls)


def test_equal_compute_by_hand():
    base = [task([(5, True), (3, False)], **{"maj@2": 0.7, "maj@4": 0.8, "maj@8": 1.0})]
    arm = [task([(6, True), (2, False)], **{"maj@2": 0.8, "maj@4": 0.9, "maj@8": 1.0})]
    spending = {"sift": Spending(parameters=1000, read=500, learned=500, selection_flops=1e6)}
    tokens = {"base": 10.0, "sift": 20.0}
    found = equal_compute({"base": base, "sift": arm}, N, tokens, spending)
    assert isinstance(found, Compute)
    assert [point.flops for point in found.base.curve] == [2e4, 4e4, 8e4, 16e4]
    one = found.arms["sift"]
    assert isinstance(one, ArmCompute)
    assert one.training_flops == 1000 * 500 * 8
    assert one.curve[0] == Point(k=1, flops=4e6 + 1e6 + 4e4, value=0.75)
    # base needs 4 samples (8e4 a query) for 0.75, the arm one of 4e4: 5e6 / 4e4 queries
    assert (one.equal_vote, one.break_even_queries) == (4, 125)


def test_training_that_voting_cannot_reach_or_that_never_pays():
    curve = [Point(k=1, flops=10, value=0.2), Point(k=2, flops=20, value=0.3)]
    assert break_even(curve, 0.9, 1e6, 10, 10) == (None, None)
    assert break_even(curve, 0.2, 1e6, 10, 10) == (1, None)


def test_what_is_missing_for_equal_compute_is_said():
    rows = [task([(5, True)])]
    tokens: dict[str, float | None] = {"base": 10.0, "sift": 9.0}
    none = equal_compute({"base": rows, "sift": rows}, N, tokens, {"sift": Spending(None, 5)})
    assert isinstance(none, Refused)
    assert "number of parameters" in none.refused
    spending = {"sift": Spending(1000, None)}
    found = equal_compute({"base": rows, "sift": rows}, N, tokens, spending)
    assert isinstance(found, Compute)
    assert found.arms["sift"] == Refused(
        refused="no num_tokens in metrics.jsonl: what training cost is not known"
    )


def test_parameters_are_counted_from_the_header_alone(tmp_path: Path):
    header = {"__metadata__": {"format": "pt"}, "a": {"shape": [3, 4]}, "b": {"shape": [5]}}
    text = json.dumps(header).encode()
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        (tmp_path / name).write_bytes(struct.pack("<Q", len(text)) + text)
    assert num_parameters(tmp_path) == 34
    assert num_parameters(tmp_path / "nothing") is None


ARMS = {"base": {"sums": 0.1}, "sift": {"sums": 0.9}, "random": {"sums": 0.4}}


def analysed(material: Material) -> Analysis:
    found = material.summary.analysis["sums"]
    assert isinstance(found, Analysis)
    return found


def test_the_page_shows_every_analysis(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    material = read_material(run, run.load_recipe())
    found = analysed(material)
    assert found.compute == Refused(refused="no weights of this run tell the number of parameters")
    curve = [Point(k=1, flops=1e5, value=0.1), Point(k=2, flops=2e5, value=0.2)]
    arm = ArmCompute(
        curve=curve,
        training_flops=1e7,
        selection_flops=0.0,
        equal_vote=2,
        break_even_queries=1234,
    )
    arms = {"sift": arm, "random": Refused(refused="no num_tokens in metrics.jsonl")}
    compute = Compute(parameters=5, base=Curve(curve=curve), arms=arms)
    found = {"sums": replace(found, compute=compute)}
    text = analysis(replace(material, summary=replace(material.summary, analysis=found)))
    for told in ("Skill or format", "Diversity", "majority filter", "from 1,234 queries on"):
        assert told in text
    assert "Behind the numbers" in write_page(material).read_text()


def test_older_results_are_told_and_not_a_crash(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    path = run.result("sums", "base").with_name("base.tasks.jsonl")
    write_jsonl(path, [{k: v for k, v in row.items() if k != "votes"} for row in read_jsonl(path)])
    unseal(run.result("sums", "base"))
    material = read_material(run, run.load_recipe())
    told = material.summary.analysis["sums"]
    assert isinstance(told, Refused)
    assert told.refused in html.unescape(write_page(material).read_text())


def test_a_verdict_without_scores_has_no_verifier_filter(make_run: Any, tmp_path: Path):
    run = make_run(tmp_path / "r", "sums", 1, ARMS)
    found = summary(run, run.load_recipe())
    write_record(run.summary, found)
    held = read_json(run.summary)["analysis"]["sums"]["verification_gap"]
    assert {name for gap in held.values() for name in gap} == {
        *("plain", "majority", "majority_reward")
    }
    assert read_summary(run.summary).analysis == found.analysis


def test_arms_rewarded_for_format_are_the_controls(make_run: Any, tmp_path: Path):
    arms = {"form": {"train": {"reward": "format"}}, "sift": {"train": {"reward": "correct"}}}
    skills = {"base": {"sums": 0.1}, "form": {"sums": 0.3}, "sift": {"sums": 0.9}}
    run = make_run(tmp_path / "r", "sums", 1, skills, arms=arms)
    material = read_material(run, run.load_recipe())
    control = analysed(material).control
    assert control is not None
    assert list(control) == ["form"]
    differences = material.summary.benchmarks["sums"].differences
    told = differences.get("sift - form", differences.get("form - sift", {}))["avg@4"].value
    assert abs(control["form"].arms["sift"].value) == pytest.approx(abs(told))
    assert "sift - form" in analysis(material)
